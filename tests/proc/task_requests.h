/*
 * task_requests -- what tests of tasks share: requests, and parts of handlers.
 */
#ifndef TESTS_TASK_REQUESTS_H
#define TESTS_TASK_REQUESTS_H

#include "web.h"

enum { BIG = 8 * 1024 * 1024 };

extern char big[BIG];                /* a body of letters, filled in by task_requests_prepare() */
extern char response[BIG + BIG / 8]; /* the last response read                                  */
extern const char *const streams[];  /* settings: stream_uploads, keep-alive 20 s               */

/* Checked fixture, which also resets task_options. */
void task_requests_prepare(void);

/* In a handler: abort the worker, so that the test sees its exit status. */
void check(bool holds);

bool is_for(const struct prefork_request *request, const char *path);

/* Store one of the test's own counts. */
void note(const struct prefork_request *request, int index, int value);

int respond(struct prefork_request *request, const char *text);

/* Send GET, with more lines of the head; returns the socket. */
int request_path(const struct web *web, const char *path, const char *rest);
void send_text(int fd, const char *text);

/* Read up to this text, from a connection that is kept. */
void expect_until(int fd, const char *end);

void await_value(const _Atomic int *noted, int value);

#endif
