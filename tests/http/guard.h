/*
 * guard -- room that ends where reading ends: behind its last byte lies a page
 * without permissions, so that a parser that looks one byte too far dies.
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

/* A copy that ends at the wall. It stays until the next one. */
const char *guard_put(struct guard *guard, const char *bytes, size_t length);

#endif
