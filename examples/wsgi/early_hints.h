/*
 * early_hints -- wsgi.early_hints: interim response 103 (RFC 8297), with links that a
 * browser may fetch while the application prepares the final response.
 *
 * Each request has its own callable, which may be called in any thread: several requests
 * may share a thread. The object is reused for the next request, unless the application
 * holds a reference. The caller has the GIL.
 */
#ifndef WSGI_EARLY_HINTS_H
#define WSGI_EARLY_HINTS_H

#include "python.h"

/** Returns 0, or -1 with an exception set. Call it once. */
int wsgi_early_hints_prepare(void);

/** Returns the value of environ["wsgi.early_hints"] for the request of `start`, which is borrowed until
 *  wsgi_early_hints_end(). NULL with an exception set. */
PyObject *wsgi_early_hints_create(PyObject *start);

/** The request has finished. Takes `hints`. */
void wsgi_early_hints_end(PyObject *hints);

#endif
