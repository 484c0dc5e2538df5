/*
 * environ -- the dict that an application is called with, as PEP 3333 says.
 *
 * What is the same for all requests of a listener is in a template, copied for
 * each request. The caller has the GIL.
 */
#ifndef WSGI_ENVIRON_H
#define WSGI_ENVIRON_H

#include "python.h"

#include <stdbool.h>

struct prefork_request;

/* What the template is made of; texts are copied. */
struct wsgi_place {
	const char *address;     /* of the listener, as prefork_listener_address() */
	const char *script_name; /* where the application is mounted, "" at the root */
	bool multithread;
	bool multiprocess;
	PyObject *errors; /* borrowed */
};

/** A *new* dict, or NULL with an exception set. */
PyObject *wsgi_environ_template(const struct wsgi_place *place);

/** A *new* dict for one request, or NULL with an exception set: LookupError when
 *  the path is outside of SCRIPT_NAME. */
PyObject *wsgi_environ_create(PyObject *template, struct prefork_request *request, PyObject *input);

#endif
