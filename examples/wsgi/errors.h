/*
 * errors -- wsgi.errors: a Python stream whose lines go to the error log as they were written,
 * whatever the log level is, as with gunicorn.
 */
#ifndef WSGI_ERRORS_H
#define WSGI_ERRORS_H

#include "python.h"

struct prefork_log;

/** 0, or -1 with an exception set. Once. */
int wsgi_errors_prepare(void);

/** A *new* stream for `log`, which is borrowed for the life of the process. */
PyObject *wsgi_errors_create(struct prefork_log *log);

/** Have `stream`, of wsgi_errors_create(), write to `log` from now on. */
void wsgi_errors_set_log(PyObject *stream, struct prefork_log *log);

/** A request is over: log what it wrote last, if that had no newline. */
void wsgi_errors_finish_line(void);

#endif
