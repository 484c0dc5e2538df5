/*
 * gunicorn_view -- the table of gunicorn's names as a module of Python.
 */
#ifndef WSGI_GUNICORN_VIEW_H
#define WSGI_GUNICORN_VIEW_H

#include "python.h"

/** The built-in module _prefork_wsgi_table, for PyImport_AppendInittab(). *New*, or NULL with an exception set. */
PyObject *wsgi_gunicorn_view(void);

#endif
