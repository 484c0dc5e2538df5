#include "hints.h"
#include "fields.h"

#include <prefork/http.h>

static _Thread_local struct prefork_request *current;
static PyObject *callable;

static PyObject *early_hints(PyObject *nothing, PyObject *fields)
{
	int64_t length;
	int r;

	(void)nothing;
	if (current == NULL || prefork_response_status(current) != 0)
		return PyErr_Format(PyExc_RuntimeError, current ? "early_hints() is called after start_response()"
		                                                : "early_hints() is called outside of a request");
	r = prefork_response_start(current, 103, NULL);
	if (r == 0 && wsgi_fields_add(current, fields, &length) < 0) {
		(void)prefork_response_reset(current);
		return NULL;
	}
	if (r == 0) {
		Py_BEGIN_ALLOW_THREADS
		r = prefork_response_end(current);
		Py_END_ALLOW_THREADS
	}
	if (r < 0) {
		(void)wsgi_refuse(r);
		return NULL;
	}
	Py_RETURN_NONE;
}

static PyMethodDef method = { "early_hints", early_hints, METH_O, "early_hints(list of (name, value))" };

int wsgi_hints_prepare(void)
{
	callable = PyCFunction_New(&method, NULL);
	return callable ? 0 : -1;
}

PyObject *wsgi_hints_callable(void)
{
	return callable;
}

void wsgi_hints_for(struct prefork_request *request)
{
	current = request;
}
