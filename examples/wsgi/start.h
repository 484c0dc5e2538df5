/*
 * start -- start_response() and the write() that it returns.
 *
 * Both objects are reused for the next request, unless the application holds references.
 * The caller has the GIL.
 */
#ifndef WSGI_START_H
#define WSGI_START_H

#include "python.h"

#include <stdbool.h>
#include <stdint.h>

struct prefork_request;

/** Returns 0, or -1 with an exception set. Call it once. */
int wsgi_start_prepare(void);

/** Returns start_response for `request`, which is borrowed until wsgi_start_end(). NULL with
 *  an exception set. */
PyObject *wsgi_start_create(struct prefork_request *request);

/** The body is complete: wait for threads in write(); later calls of write() raise an exception. Releases the
 *  GIL meanwhile. */
void wsgi_start_close(PyObject *start);

/** Borrow the request for a call into the library without the GIL, and return it. Meanwhile no other thread can
 *  begin the response, and wsgi_start_close() waits. NULL: another thread writes, or the response is complete. */
struct prefork_request *wsgi_start_lend(PyObject *start);
void wsgi_start_return(PyObject *start);

/** The request has finished. Takes `start`. */
void wsgi_start_end(PyObject *start);

/** The arguments of start_response(), *borrowed*, if there is a hook post_request; NULL: not called. */
PyObject *wsgi_start_status(PyObject *start);
PyObject *wsgi_start_headers(PyObject *start);

/** Was start_response() called? Was write()? The Content-Length of the application; -1 without. */
bool wsgi_start_was_called(PyObject *start);
bool wsgi_start_has_written(PyObject *start);
int64_t wsgi_start_length(PyObject *start);

/** write(). Returns 0, or -1 with an exception set. Releases the GIL meanwhile. */
int wsgi_start_write(PyObject *start, PyObject *piece);

#endif
