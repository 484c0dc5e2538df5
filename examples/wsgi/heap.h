/*
 * heap -- how malloc(3) keeps freed memory: bounded per process, not per thread.
 *
 * glibc gives each thread an arena of its own, and each keeps up to twice the largest block that was freed. With bodies
 * of 5 MB and 8 threads that is 80 MB. The GIL has the threads allocate in turn, so that one arena serves all of them.
 */
#ifndef WSGI_HEAP_H
#define WSGI_HEAP_H

/** Share one arena, which keeps at most 32 MiB at its end. What the environment sets is left as it is: MALLOC_ARENA_MAX,
 *  MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_, GLIBC_TUNABLES. Nothing, if the C library has no mallopt(3).
 *  Call it once, while the process has one thread. */
void wsgi_heap_limit(void);

#endif
