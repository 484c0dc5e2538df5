/*
 * input -- wsgi.input: the request's body as a Python file for reading.
 *
 * The bytes come from libprefork-http when they are asked for, with the GIL
 * released meanwhile. A body that ends too early, that is framed wrongly or
 * that comes too slowly raises OSError; it is never passed off as complete.
 * Once the request is over the object raises ValueError, whoever kept it.
 */
#ifndef WSGI_INPUT_H
#define WSGI_INPUT_H

#include "python.h"

struct prefork_request;

/** 0, or -1 with an exception set. Once. */
int wsgi_input_prepare(void);

/** wsgi.input for `request`, which is borrowed until wsgi_input_end(). NULL with an
 *  exception set. */
PyObject *wsgi_input_create(struct prefork_request *request);

/** The request is over. Takes `input`: it serves again, unless somebody kept it. */
void wsgi_input_end(PyObject *input);

#endif
