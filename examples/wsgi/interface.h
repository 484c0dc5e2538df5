/*
 * interface -- is what was loaded something that WSGI can call?
 */
#ifndef WSGI_INTERFACE_H
#define WSGI_INTERFACE_H

#include "python.h"

/** 0, or -1 with an exception that says what to do: the callable `application`, called `name`, is
 *  asynchronous (ASGI), or a function of Python's that cannot take two arguments. What cannot be
 *  told passes: nothing that could answer a request is refused. */
int wsgi_interface_check(PyObject *application, const char *name);

#endif
