/*
 * failure -- Python's exceptions, as text for people.
 *
 * The caller has the GIL. All of them leave no exception behind.
 */
#ifndef WSGI_FAILURE_H
#define WSGI_FAILURE_H

#include "python.h"

#include <stddef.h>

/** Take the exception that is set and write it as one line, "KeyError: 'x'",
 *  into `line`. Returns the whole traceback as a *new* str, or NULL when not
 *  even that can be had. */
PyObject *wsgi_failure_take(char *line, size_t size);

#endif
