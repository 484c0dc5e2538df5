/*
 * load -- resolve "package.module:app" to a callable.
 *
 * MODULE                      its attribute `application`
 * MODULE:NAME.ATTRIBUTE       any attribute, dotted
 * MODULE:FACTORY('x', y=1)    result of a call; arguments are literals
 */
#ifndef WSGI_LOAD_H
#define WSGI_LOAD_H

#include "python.h"

/** Insert `directory` at the front of sys.path, unless sys.path contains it. A relative path is
 *  relative to `base`, if that is not NULL. Returns 0, or -1 with an exception set. */
int wsgi_load_path(const char *base, const char *directory);

/** Returns a *new* reference to the application, or NULL with an exception
 *  set. The caller has the GIL. */
PyObject *wsgi_load(const char *name);

/** The same for any callable, which need not be a WSGI application. */
PyObject *wsgi_load_callable(const char *name);

#endif
