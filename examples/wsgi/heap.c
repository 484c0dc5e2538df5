/* Sets the parameters of mallopt(3). */
#include "heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#ifdef M_ARENA_MAX

/* The largest threshold that glibc accepts, which it reaches by itself once blocks of that size were freed. With a smaller
 * one, a body above it would cost a fault for each of its pages. */
enum { KEPT_MAX = 32 << 20 };

static const struct {
	const char *variable; /* sets the same */
	int parameter;
	int value;
} rows[] = {
	{ "MALLOC_ARENA_MAX", M_ARENA_MAX, 1 },
	{ "MALLOC_MMAP_THRESHOLD_", M_MMAP_THRESHOLD, KEPT_MAX },
	{ "MALLOC_TRIM_THRESHOLD_", M_TRIM_THRESHOLD, KEPT_MAX },
};

void wsgi_heap_limit(void)
{
	const char *const tunables = getenv("GLIBC_TUNABLES");

	if (tunables != NULL && strstr(tunables, "glibc.malloc.") != NULL)
		return;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (getenv(rows[i].variable) == NULL)
			(void)mallopt(rows[i].parameter, rows[i].value);
}

#else

void wsgi_heap_limit(void)
{
}

#endif
