/* What the server asks of the system, as the script has it: the clock, memory and the disk. The linker
 * puts it between the library and the libc (-Wl,--wrap). */
#include "serve.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct serve_system serve_system;

#define REAL(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

/* CLOCK_REALTIME is libFuzzer's as well. */
REAL(int, clock_gettime, clockid_t clock, struct timespec *ret)
{
	if (!serve_system.is_ours || clock == CLOCK_REALTIME)
		return __real_clock_gettime(clock, ret);
	ret->tv_sec = (time_t)(serve_system.now_ns / 1000000000);
	ret->tv_nsec = (long)(serve_system.now_ns % 1000000000);
	return 0;
}

static bool memory_fails(void)
{
	return serve_system.is_inside && serve_system.fails_in > 0 && --serve_system.fails_in == 0;
}

REAL(void *, malloc, size_t size)
{
	return memory_fails() ? NULL : __real_malloc(size);
}

REAL(void *, realloc, void *old, size_t size)
{
	return memory_fails() ? NULL : __real_realloc(old, size);
}

void *script_grow(void *old, size_t size)
{
	void *const grown = __real_realloc(old, size);

	demand(grown != NULL);
	return grown;
}

static ssize_t refuse(void)
{
	errno = ENOSPC;
	return -1;
}

/* With 64-bit offsets the calls have other names on some machines, and not on others. What is written to a disk
 * that gets full is written in part, or not at all. */
#define PWRITE(name)                                                                                     \
	REAL(ssize_t, name, int fd, const void *bytes, size_t size, off_t offset)                        \
	{                                                                                                \
		const size_t fits = serve_system.is_full ? size / 2 : size;                              \
		return fits < size && fits == 0 ? refuse() : __real_##name(fd, bytes, fits, offset);     \
	}
PWRITE(pwrite)
#ifndef pwrite64 /* the other name of the same function */
PWRITE(pwrite64)
#endif

#define PWRITEV(name)                                                                                    \
	REAL(ssize_t, name, int fd, const struct iovec *pieces, int count, off_t offset)                 \
	{                                                                                                \
		const int fits = serve_system.is_full ? count / 2 : count;                               \
		return fits < count && fits == 0 ? refuse() : __real_##name(fd, pieces, fits, offset);   \
	}
PWRITEV(pwritev)
#ifndef pwritev64
PWRITEV(pwritev64)
#endif
