/*
 * load -- from "package.module:app" to a callable.
 *
 * MODULE                      the name `application` in it
 * MODULE:NAME.ATTRIBUTE       any attribute, dotted
 * MODULE:FACTORY('x', y=1)    what a call returns; arguments are literals
 */
#ifndef WSGI_LOAD_H
#define WSGI_LOAD_H

#include "python.h"

/** Put `directory` first in sys.path unless it is there; below `base`, if that is not NULL
 *  and it is not absolute. 0, or -1 with an exception set. */
int wsgi_load_path(const char *base, const char *directory);

/** Returns a *new* reference to the application, or NULL with an exception
 *  set. The caller has the GIL. */
PyObject *wsgi_load(const char *name);

#endif
