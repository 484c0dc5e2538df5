/*
 * fuzz -- what every fuzzer needs: its entry point, a check, and input in memory of exactly its size.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that no input may break. */
static inline void demand(bool promise)
{
	if (!promise)
		abort();
}

/* A copy that a sanitizer protects on both sides. The caller frees it. */
static inline char *copy_exactly(const void *data, size_t size)
{
	char *const bytes = malloc(size + (size == 0));

	demand(bytes != NULL);
	if (size > 0)
		memcpy(bytes, data, size);
	return bytes;
}

#endif
