/*
 * tables -- what the tests of a parser with two tables share: violations, each with the verdict, and valid
 * input, each with the values that are read.
 */
#ifndef TESTS_HTTP_TABLES_H
#define TESTS_HTTP_TABLES_H

#include "../support.h"
#include "cases.h"

extern struct tables {
	struct cases violations, valid;
} tables;

/* Aborts the program if a table cannot be read. */
void tables_open(const char *violations, const char *valid);
void tables_close(void);

/* A copy of the bytes that ends at a guard page. Valid until the next call. */
const char *tables_put(const char *bytes, size_t length);

/* Asserts that the tables have at least so many rows, and no violation twice. `with_number`: the number of
 * a row is part of the input. */
void tables_expect(int violations_min, int valid_min, bool with_number);

/* The next length to cut a row to: all near its ends, and some between. Long rows are repetitions. */
size_t tables_next_cut(size_t cut, size_t length);

/* Runs `suite`, closes the tables, and returns the exit status of the program. */
int tables_run(Suite *suite);

#endif
