/*
 * sources -- an HTTP service with one path for each source of a response body: bytes,
 * pieces, file, pull callback; and paths that read request bodies or wait for the test.
 */
#ifndef TESTS_SOURCES_H
#define TESTS_SOURCES_H

#include "web.h"

enum { BIG = 6 * 1024 * 1024, FILE_SIZE = 100000, RESPONSE_MAX = BIG + 65536 };

struct source {
	const char *path;
	int (*respond)(struct prefork_request *request);
	const char *head; /* a line of the head; NULL: not compared          */
	const char *body; /* with its framing; NULL: the test has its own    */
};

/* The first PLAIN_SOURCES have head and body. */
enum { PLAIN_SOURCES = 13 };
extern const struct source sources[];

extern char big[BIG];               /* body of large responses; its first FILE_SIZE bytes are the file */
extern char response[RESPONSE_MAX]; /* the last response read                                         */
extern const char *const kept[];    /* settings: keep-alive 20 s                                      */

/* The handler of the service, for web_open(). */
int sources_handle(struct prefork_request *request, void *user);

/* Sends a request whose head ends with `rest`; returns the socket. */
int sources_request(const struct web *web, const char *method, const char *path, const char *rest);

/* One request on a new connection; the response is in `response`. Returns its size. */
size_t sources_get(const struct web *web, const char *method, const char *path);

/* Checked fixtures: Check runs them in the process of each test. */
void sources_make_file(void);
void sources_remove_file(void);

#endif
