/*
 * early_hints -- wsgi.early_hints: interim response 103 (RFC 8297), with links that a
 * browser may fetch while the application prepares the final response.
 *
 * One callable serves all requests: it applies to the request that the calling thread
 * handles.
 */
#ifndef WSGI_EARLY_HINTS_H
#define WSGI_EARLY_HINTS_H

#include "python.h"

/** Returns 0, or -1 with an exception set. Call it once. The caller has the GIL, here and below. */
int wsgi_early_hints_prepare(void);

/** The value of environ["wsgi.early_hints"]. Borrowed. */
PyObject *wsgi_early_hints_callable(void);

/** Set the request that this thread handles, by its start_response; NULL: none. Borrowed until the next call. */
void wsgi_early_hints_for(PyObject *start);

#endif
