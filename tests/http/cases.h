/*
 * cases -- the tables of violations and oddities, read from their files.
 *
 * A line is `number | reference | name | bytes`; the files say which escapes
 * the bytes may have.
 */
#ifndef TESTS_HTTP_CASES_H
#define TESTS_HTTP_CASES_H

#include <stddef.h>

struct one_case {
	int number;
	char *reference;
	char *name;
	char *bytes;
	size_t length;
};

struct cases {
	struct one_case *all;
	int count;
};

/* Aborts the test program if the file cannot be read, or a line is malformed. */
struct cases read_cases(const char *path);
void free_cases(struct cases *cases);

#endif
