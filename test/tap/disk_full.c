/* Preloaded into a server: writes to files below a tablespace fail with ENOSPC while the file that DISK_FULL names is
 * there. Only what makes a file longer or writes a page is told; that is what PostgreSQL does to a heap. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int file)
{
	const char *flag = getenv("DISK_FULL");
	char link[64], path[4096];
	ssize_t length;

	if (flag == NULL || access(flag, F_OK) != 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= 0)
		return 0;
	path[length] = '\0';
	return strstr(path, "/archive_space/") != NULL;
}

#define REFUSE(file, failure, how) if (is_full(file)) { how; return failure; }

ssize_t pwrite(int file, const void *data, size_t size, off_t at)
{
	REFUSE(file, -1, errno = ENOSPC);
	return ((ssize_t (*)(int, const void *, size_t, off_t)) dlsym(RTLD_NEXT, "pwrite"))(file, data, size, at);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at)
{
	REFUSE(file, -1, errno = ENOSPC);
	return ((ssize_t (*)(int, const void *, size_t, off64_t)) dlsym(RTLD_NEXT, "pwrite64"))(file, data, size, at);
}

ssize_t pwritev(int file, const struct iovec *data, int count, off_t at)
{
	REFUSE(file, -1, errno = ENOSPC);
	ssize_t (*written)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "pwritev");
	return written(file, data, count, at);
}

ssize_t pwritev64(int file, const struct iovec *data, int count, off64_t at)
{
	REFUSE(file, -1, errno = ENOSPC);
	ssize_t (*written)(int, const struct iovec *, int, off64_t) = dlsym(RTLD_NEXT, "pwritev64");
	return written(file, data, count, at);
}

int posix_fallocate(int file, off_t at, off_t size)
{
	REFUSE(file, ENOSPC, (void) 0);
	return ((int (*)(int, off_t, off_t)) dlsym(RTLD_NEXT, "posix_fallocate"))(file, at, size);
}

int posix_fallocate64(int file, off64_t at, off64_t size)
{
	REFUSE(file, ENOSPC, (void) 0);
	return ((int (*)(int, off64_t, off64_t)) dlsym(RTLD_NEXT, "posix_fallocate64"))(file, at, size);
}
