/*
 * python_modules -- the modules of examples/wsgi/python, which are in this program as text.
 */
#ifndef WSGI_PYTHON_MODULES_H
#define WSGI_PYTHON_MODULES_H

#include "python.h"

/** Have `import` find the modules, before any of the same name in sys.path. A second call does nothing. The caller has
 *  the GIL. Returns 0, or -1 with an exception set. */
int wsgi_python_modules_install(void);

/** Import `module` (installing the modules first): its attribute `name`, *new*, or NULL with an exception set. */
PyObject *wsgi_python_get(const char *module, const char *name);

/** Call the function wsgi_python_get(`module`, `name`) with the arguments of `format` (Py_BuildValue(); a tuple, "()" for
 *  none). Returns the *new* result, or NULL with an exception set. */
PyObject *wsgi_python_call(const char *module, const char *name, const char *format, ...);

#endif
