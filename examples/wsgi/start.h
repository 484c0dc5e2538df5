/*
 * start -- start_response and the write() that it returns.
 *
 * Both are used again for the next request, unless the application kept them.
 * The caller has the GIL.
 */
#ifndef WSGI_START_H
#define WSGI_START_H

#include "python.h"

#include <stdbool.h>
#include <stdint.h>

struct prefork_request;

/** 0, or -1 with an exception set. Once. */
int wsgi_start_prepare(void);

/** start_response for `request`, which is borrowed until wsgi_start_end(). NULL with
 *  an exception set. */
PyObject *wsgi_start_create(struct prefork_request *request);

/** The body is decided on, or has ended: a thread that is in write() is waited for, and what is written later is
 *  refused. The GIL is released meanwhile. */
void wsgi_start_close(PyObject *start);

/** The request, for a call into the library without the GIL, and back: no other thread answers meanwhile. */
struct prefork_request *wsgi_start_lend(PyObject *start);
void wsgi_start_return(PyObject *start);

/** The request is over. Takes `start`. */
void wsgi_start_end(PyObject *start);

/** Was it called? Was write()? The Content-Length that was given, -1 without. */
bool wsgi_start_was_called(PyObject *start);
bool wsgi_start_has_written(PyObject *start);
int64_t wsgi_start_length(PyObject *start);

/** write(): 0, or -1 with an exception set. Releases the GIL meanwhile. */
int wsgi_start_write(PyObject *start, PyObject *piece);

#endif
