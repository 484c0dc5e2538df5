/*
 * input -- wsgi.input: the request body as a Python file object for reading.
 *
 * Each read calls libprefork-http with the GIL released. A truncated body, invalid
 * framing, or a timeout raises OSError: a body is never returned as complete if it is
 * not. After the request has finished, all methods raise ValueError.
 */
#ifndef WSGI_INPUT_H
#define WSGI_INPUT_H

#include "python.h"

struct prefork_request;

/** Returns 0, or -1 with an exception set. Call it once. */
int wsgi_input_prepare(void);

/** wsgi.input for `request`, which is borrowed until wsgi_input_end(). NULL with an
 *  exception set. */
PyObject *wsgi_input_create(struct prefork_request *request);

/** The request has finished. Takes `input`, and uses it again if the application holds no reference. */
void wsgi_input_end(PyObject *input);

#endif
