/*
 * python -- Python.h, in the one way that is right: first, and with sizes.
 */
#ifndef WSGI_PYTHON_H
#define WSGI_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#endif
