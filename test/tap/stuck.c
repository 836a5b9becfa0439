/* A function of a server that reaches no interrupt: neither a cancel nor SIGTERM ends it before its time is over. */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(stuck);

Datum stuck(PG_FUNCTION_ARGS)
{
	time_t end = time(NULL) + PG_GETARG_INT32(0);
	struct timespec nap = {0, 10 * 1000 * 1000};

	while (time(NULL) < end)
		nanosleep(&nap, NULL);
	PG_RETURN_VOID();
}
