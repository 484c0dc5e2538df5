/*
 * errors -- wsgi.errors: a Python stream whose lines are written to the error log unchanged,
 * at every log level, as with gunicorn.
 */
#ifndef WSGI_ERRORS_H
#define WSGI_ERRORS_H

#include "python.h"

struct prefork_log;

/** Returns 0, or -1 with an exception set. A second call does nothing. */
int wsgi_errors_prepare(void);

/** Returns a *new* stream for `log`, which is borrowed until the process exits. */
PyObject *wsgi_errors_create(struct prefork_log *log);

/** Set the log of a stream of wsgi_errors_create(). Borrows `log`. */
void wsgi_errors_set_log(PyObject *stream, struct prefork_log *log);

/** A request has finished: log the partial line that it has written. */
void wsgi_errors_finish_line(void);

#endif
