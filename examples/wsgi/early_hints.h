/*
 * hints -- wsgi.early_hints: what a browser may fetch while the application is
 * still at work, as a response 103 before its own one.
 *
 * One callable serves all requests: it speaks for the one that the calling thread
 * is handling.
 */
#ifndef WSGI_HINTS_H
#define WSGI_HINTS_H

#include "python.h"

/** 0, or -1 with an exception set. Once. The caller has the GIL, here and below. */
int wsgi_hints_prepare(void);

/** What is in environ["wsgi.early_hints"]. Borrowed. */
PyObject *wsgi_hints_callable(void);

/** This thread handles the request of `start` (start_response) from now on; NULL: none. Borrowed until then. */
void wsgi_hints_for(PyObject *start);

#endif
