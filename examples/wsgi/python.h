/*
 * python -- Python.h. Include it before other headers: it defines feature macros.
 */
#ifndef WSGI_PYTHON_H
#define WSGI_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#endif
