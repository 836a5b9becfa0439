/* A function of a server that reaches no interrupt: neither a cancel nor SIGTERM ends it before a file is there. */
#include "postgres.h"

#include <time.h>
#include <unistd.h>

#include "fmgr.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(stuck);

Datum stuck(PG_FUNCTION_ARGS)
{
	char *file = text_to_cstring(PG_GETARG_TEXT_PP(0));
	struct timespec nap = {0, 10 * 1000 * 1000};
	int left = 120 * 100; /* two minutes of naps, should the test die */

	while (access(file, F_OK) != 0 && left-- > 0)
		nanosleep(&nap, NULL);
	PG_RETURN_VOID();
}
