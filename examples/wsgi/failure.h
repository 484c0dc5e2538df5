/*
 * failure -- Python exceptions as text.
 *
 * The caller has the GIL. No exception is set afterwards.
 */
#ifndef WSGI_FAILURE_H
#define WSGI_FAILURE_H

#include "python.h"

#include <stddef.h>

/** Take the exception that is set and write it as one line, "KeyError: 'x'", into `line`.
 *  Returns the traceback as a *new* str, or NULL if it cannot be formatted. */
PyObject *wsgi_failure_take(char *line, size_t size);

#endif
