/*
 * host_worker -- the worker as an object of Python, for the adapters of event loops.
 *
 * Attributes and methods are described in docs/loops-in-python.md. The caller has the GIL.
 */
#ifndef WSGI_HOST_WORKER_H
#define WSGI_HOST_WORKER_H

#include "python.h"

struct prefork_worker;

/** `application` is borrowed; NULL: it is not loaded yet. Returns NULL with an exception set. */
PyObject *wsgi_host_worker_create(struct prefork_worker *worker, PyObject *application);

/** The worker ends: later calls of methods do nothing. Takes `self`. */
void wsgi_host_worker_end(PyObject *self);

#endif
