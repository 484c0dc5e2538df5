/*
 * environ -- the dict that an application is called with, as PEP 3333 says.
 *
 * The caller has the GIL.
 */
#ifndef WSGI_ENVIRON_H
#define WSGI_ENVIRON_H

#include "python.h"

struct prefork_request;
struct wsgi_template;

/** A *new* dict for one request, or NULL with an exception set; NULL without one:
 *  the path is not below SCRIPT_NAME. */
PyObject *wsgi_environ_create(struct wsgi_template *template, struct prefork_request *request, PyObject *input);

#endif
