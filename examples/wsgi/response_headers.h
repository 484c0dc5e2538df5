/*
 * fields -- texts and header fields on their way from Python to the library.
 *
 * The caller has the GIL.
 */
#ifndef WSGI_FIELDS_H
#define WSGI_FIELDS_H

#include "python.h"

#include <stddef.h>
#include <stdint.h>

struct prefork_log;
struct prefork_request;

/** In a worker: where it is told that header fields are dropped, once. Borrows the log. */
void wsgi_fields_prepare(struct prefork_log *log);

/** A piece of a body as bytes, *new*: bytes, a bytearray or a memoryview. NULL with an exception set. */
PyObject *wsgi_bytes(PyObject *piece);

/** PEP 3333's str: one whose characters fit a byte each. Borrowed from `text`, or
 *  NULL with an exception set, which calls it `what`. */
const char *wsgi_latin1(PyObject *text, const char *what, size_t *ret_size);

/** Add an iterable of pairs of name and value to the response; `*length` becomes what a Content-Length
 *  among them says. Fields about the connection are dropped. 0, or -1 with an exception set. */
int wsgi_fields_add(struct prefork_request *request, PyObject *fields, int64_t *length);

/** What the library has refused, as an exception: ValueError where the application is
 *  wrong, OSError where its client is gone. Returns -1. */
int wsgi_refuse(int error);

#endif
