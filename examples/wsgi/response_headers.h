/*
 * response_headers -- pass str, bytes and header fields from Python to the library.
 *
 * The caller has the GIL.
 */
#ifndef WSGI_RESPONSE_HEADERS_H
#define WSGI_RESPONSE_HEADERS_H

#include "python.h"

#include <stddef.h>
#include <stdint.h>

struct prefork_request;

/** Call it at the start of a worker: the worker then logs one warning when it drops hop-by-hop fields. */
void wsgi_response_headers_prepare(void);

/** Returns a piece of a body (bytes, bytearray or memoryview) as *new* bytes. NULL with an exception set. */
PyObject *wsgi_bytes(PyObject *piece);

/** Returns the bytes of a PEP 3333 str (all characters below U+0100), borrowed from `text`.
 *  NULL with an exception set, whose message names `what`. */
const char *wsgi_latin1(PyObject *text, const char *what, size_t *ret_size);

/** Add an iterable of (name, value) to the response. `*length` becomes the value of Content-Length, -1
 *  without it. Hop-by-hop fields are dropped. Returns 0, or -1 with an exception set. */
int wsgi_response_headers_add(struct prefork_request *request, PyObject *fields, int64_t *length);

/** Raise an error of the library: ValueError if the application has passed something invalid,
 *  OSError otherwise, for example if the client has disconnected. Returns -1. */
int wsgi_refuse(int error);

#endif
