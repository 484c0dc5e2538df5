/* The clock, memory and the disk, as the script sets them. The linker puts these functions between the library and
 * the libc (-Wl,--wrap). */
#include "serve.h"

#include <errno.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct serve_system serve_system;

#define REAL(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

/* libFuzzer uses CLOCK_REALTIME. */
REAL(int, clock_gettime, clockid_t clock, struct timespec *ret)
{
	if (!serve_system.is_active || clock == CLOCK_REALTIME)
		return __real_clock_gettime(clock, ret);
	ret->tv_sec = (time_t)(serve_system.now_ns / 1000000000);
	ret->tv_nsec = (long)(serve_system.now_ns % 1000000000);
	return 0;
}

static bool memory_fails(void)
{
	return serve_system.in_server && serve_system.allocations_left > 0 && --serve_system.allocations_left == 0;
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

/* On some machines the calls have other names with 64-bit offsets. A write to a full disk is partial or fails. */
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
