/*
 * guard -- a buffer that ends at a page without permissions: a parser that reads one byte too far
 * crashes.
 */
#ifndef TESTS_HTTP_GUARD_H
#define TESTS_HTTP_GUARD_H

#include <stddef.h>

struct guard {
	char *base;
	size_t size; /* readable, whole pages */
	size_t page;
};

void guard_open(struct guard *guard, size_t size);
void guard_close(struct guard *guard);

/* A copy that ends at the guard page. Valid until the next call. */
const char *guard_put(struct guard *guard, const char *bytes, size_t length);

#endif
