/* wsgi.early_hints: a callable that sends 103 for the request that its thread handles. */
#include "early_hints.h"
#include "response_headers.h"
#include "start.h"

#include <prefork/http.h>

static _Thread_local PyObject *current; /* start_response of the request that this thread handles */
static PyObject *callable;

/* wsgi_start_lend() keeps other threads of the application from beginning the response meanwhile. */
static int send_hints(struct prefork_request *request, PyObject *fields)
{
	int64_t length;
	int r = prefork_response_start(request, 103, NULL);

	if (r == 0 && wsgi_response_headers_add(request, fields, &length) < 0) {
		(void)prefork_response_reset(request);
		return -1;
	}
	if (r == 0) {
		Py_BEGIN_ALLOW_THREADS
		r = prefork_response_end(request);
		Py_END_ALLOW_THREADS
	}
	return r < 0 ? wsgi_refuse(r) : 0;
}

static PyObject *early_hints(PyObject *nothing, PyObject *fields)
{
	int r = -1;

	(void)nothing;
	if (current == NULL)
		return PyErr_Format(PyExc_RuntimeError, "early_hints() called outside of a request");
	if (wsgi_start_was_called(current))
		return PyErr_Format(PyExc_RuntimeError, "early_hints() called after start_response()");
	r = send_hints(wsgi_start_lend(current), fields);
	wsgi_start_return(current);
	if (r < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyMethodDef method = { "early_hints", early_hints, METH_O, "early_hints(list of (name, value))" };

int wsgi_early_hints_prepare(void)
{
	callable = PyCFunction_New(&method, NULL);
	return callable ? 0 : -1;
}

PyObject *wsgi_early_hints_callable(void)
{
	return callable;
}

void wsgi_early_hints_for(PyObject *start)
{
	current = start;
}
