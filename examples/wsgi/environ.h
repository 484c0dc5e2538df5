/*
 * environ -- the dict that the application is called with (PEP 3333).
 *
 * The caller has the GIL.
 */
#ifndef WSGI_ENVIRON_H
#define WSGI_ENVIRON_H

#include "python.h"

struct prefork_request;
struct wsgi_template;

/** Returns a *new* dict for one request. NULL with an exception set; NULL without an
 *  exception: the path is not below SCRIPT_NAME. */
PyObject *wsgi_environ_create(struct wsgi_template *template, struct prefork_request *request, PyObject *input,
                              PyObject *hints);

/** Adds more keys to each environ; -1 with an exception set. Set before the first request; NULL: there are none. */
extern int (*wsgi_environ_more)(PyObject *environ, struct prefork_request *request);

#endif
