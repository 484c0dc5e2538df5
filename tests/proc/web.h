/*
 * web -- a worker that serves HTTP, and clients that send and receive raw bytes: for
 * tests of lib/http over sockets. The harness selects the strategy.
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
	_Atomic int error;      /* prefork_request_error() of the last request finished */
	_Atomic int noted[8];   /* the test's own */
};

struct web {
	struct harness harness;
	struct prefork_settings *settings;
	struct prefork_http_service service; /* counts, and calls the test's */
	struct web_counts *counts;
	int (*handle)(struct prefork_request *request, void *user);
	void (*finished)(struct prefork_request *request, void *user); /* may be NULL */
};

/* Start a worker with these settings, terminated by NULL; `handle` is its handler. */
void web_open(struct web *web, int (*handle)(struct prefork_request *request, void *user), const char *const settings[]);

/* The same with a whole service. */
void web_open_service(struct web *web, const struct prefork_http_service *service, const char *const settings[]);

/* Drain the worker and assert a clean exit, and that every request handled was finished once. */
void web_close(struct web *web);

/* The same for a worker that is draining already. */
void web_reap(struct web *web);

/* Free the memory. The test has reaped the worker. */
void web_discard(struct web *web);

/* The test's own counts, in the worker. */
struct web_counts *web_counts(const struct prefork_request *request);

/* Wait until `count` is `least`. */
void web_wait(const _Atomic int *count, int least);

/* The same; the limit applies to the pause between two changes, since all of them may take long on a busy machine. */
void web_await_progress(const _Atomic int *count, int least);

/* Connect and send these bytes; returns the socket. */
int web_request(const struct web *web, const char *bytes, size_t length);

/* Read until end of file, which must not be a reset; terminate by NUL; close. */
size_t web_read_all(int fd, char *response, size_t size);

/* The same, without the close. */
size_t web_read_open(int fd, char *response, size_t size);

/* As web_read_all(); a reset is accepted. */
size_t web_read_rest(int fd, char *response, size_t size);

/* The status code of the status line; 0 if there is none. */
int web_status(const char *response);

#endif
