/*
 * interface -- check that the object loaded is a WSGI application.
 */
#ifndef WSGI_INTERFACE_H
#define WSGI_INTERFACE_H

#include "python.h"

/** Returns -1 with an exception set, whose message contains the remedy, if the callable `application`
 *  of that name is asynchronous (ASGI), or is a Python function that does not accept two arguments.
 *  Returns 0 otherwise, also if that cannot be determined: no working application is refused. */
int wsgi_interface_check(PyObject *application, const char *name);

#endif
