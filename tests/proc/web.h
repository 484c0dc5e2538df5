/*
 * web -- a worker that serves HTTP, and clients that show every byte: for the
 * tests of lib/http over real sockets. The strategy is the harness's.
 */
#ifndef TESTS_WEB_H
#define TESTS_WEB_H

#include "harness.h"

#include <prefork/http.h>

#include <stdatomic.h>
#include <stddef.h>

/* Shared with the worker. */
struct web_counts {
	_Atomic int handled;
	_Atomic int finished;
	_Atomic int error;      /* prefork_request_error() of the last one that finished */
	_Atomic int noted[8];   /* the test's own */
};

struct web {
	struct harness harness;
	struct prefork_settings *settings;
	struct prefork_http_service service; /* counts, and calls the test's */
	struct web_counts *counts;
	int (*handle)(struct prefork_request *request, void *user);
	void (*finished)(struct prefork_request *request, void *user); /* NULL: the test wants none */
};

/* Starts a worker with these settings (NULL at the end), whose requests `handle` gets. */
void web_open(struct web *web, int (*handle)(struct prefork_request *request, void *user), const char *const settings[]);

/* The same with a service whose `handle` and `finished` it gets, and that has other callbacks and traits, too. */
void web_open_service(struct web *web, const struct prefork_http_service *service, const char *const settings[]);

/* Stops it, which must go well; every request that was handled must have been finished, once. */
void web_close(struct web *web);

/* The same for one that was told already. */
void web_reap(struct web *web);

/* The test's own counts, in the worker. */
struct web_counts *web_counts(const struct prefork_request *request);

/* Wait until `count` is `least`. */
void web_wait(const _Atomic int *count, int least);

/* A client that has sent these bytes. */
int web_ask(const struct web *web, const char *bytes, size_t length);

/* All that comes until the end, which must come in good order; NUL behind it. Closes. */
size_t web_read_all(int fd, char *answer, size_t size);

/* The same, whichever way it ends. */
size_t web_read_rest(int fd, char *answer, size_t size);

/* The number in "HTTP/1.1 200", 0 if it is no such line. */
int web_status(const char *answer);

#endif
