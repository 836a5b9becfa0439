/* Preloaded into a server: its clock is as many seconds ahead as the file says that CLOCK_AHEAD names. A clock that
 * nobody sets stays as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static long seconds_ahead(void)
{
	const char *name = getenv("CLOCK_AHEAD");
	char text[32];
	ssize_t length;
	int saved = errno;
	int file = name != NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;

	if (file < 0)
	{
		errno = saved;
		return 0;
	}
	length = read(file, text, sizeof(text) - 1);
	close(file);
	errno = saved;
	text[length > 0 ? length : 0] = '\0';
	return strtol(text, NULL, 10);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	int result = ((int (*)(struct timeval *restrict, void *restrict)) dlsym(RTLD_NEXT, "gettimeofday"))(now, zone);

	now->tv_sec += seconds_ahead();
	return result;
}
