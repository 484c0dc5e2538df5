/*
 * failure -- Python exceptions as text.
 *
 * The caller has the GIL. No exception is set afterwards.
 */
#ifndef WSGI_FAILURE_H
#define WSGI_FAILURE_H

#include "python.h"

#include <prefork/export.h>

#include <stddef.h>

/** Take the exception that is set and write it as one line, "KeyError: 'x'", into `line`.
 *  Returns the traceback as a *new* str, or NULL if it cannot be formatted. */
PyObject *wsgi_failure_take(char *line, size_t size);

/** Write a line of level ERROR with the traceback `text` below it. *Takes* `text`, as wsgi_failure_take() returns it; NULL:
 *  the line alone. */
void wsgi_failure_log(PyObject *text, const char *event, const char *format, ...) PREFORK_PRINTF(3, 4);

/** SystemExit is set, and stays so: the exit status, as sys.exit() defines it. None is 0, an int is the status, anything
 *  else is printed, with status 1. */
int wsgi_failure_exit_status(void);

#endif
