/* wsgi.early_hints: a callable that sends 103 for its request. The object is reused unless the application keeps it. */
#include "early_hints.h"
#include "response_headers.h"
#include "start.h"

#include <prefork/http.h>

#include <stddef.h>

struct hints {
	PyObject_HEAD
	vectorcallfunc vectorcall;
	PyObject *start; /* start_response of the request, borrowed; NULL: finished */
};

static struct hints *spare; /* for the next request: the application holds no reference to it */

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
		if (PyErr_Occurred()) /* thrown into this task while it waited for the client */
			return -1;
	}
	return r < 0 ? wsgi_refuse(r) : 0;
}

/* wsgi_request.c ends `start` only after it is returned, so it is valid until then, even if the application returns
 * meanwhile. */
static PyObject *hints_call(PyObject *self, PyObject *const *arguments, size_t flagged, PyObject *names)
{
	PyObject *const start = ((struct hints *)self)->start;
	struct prefork_request *request;
	int r;

	if (PyVectorcall_NARGS(flagged) != 1 || (names && PyTuple_GET_SIZE(names) > 0))
		return PyErr_Format(PyExc_TypeError, "early_hints() takes one argument, a list of (name, value)");
	if (start == NULL)
		return PyErr_Format(PyExc_RuntimeError, "early_hints() called after the end of its request");
	if (wsgi_start_was_called(start))
		return PyErr_Format(PyExc_RuntimeError, "early_hints() called after start_response()");
	request = wsgi_start_lend(start);
	if (request == NULL)
		return PyErr_Format(PyExc_RuntimeError, "early_hints() called while another thread sends the response");
	r = send_hints(request, arguments[0]);
	wsgi_start_return(start);
	if (r < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyTypeObject type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "prefork.EarlyHints",
	.tp_basicsize = sizeof(struct hints),
	.tp_dealloc = (destructor)PyObject_Free,
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
	.tp_vectorcall_offset = offsetof(struct hints, vectorcall),
	.tp_call = PyVectorcall_Call,
	.tp_doc = "early_hints(list of (name, value))",
};

int wsgi_early_hints_prepare(void)
{
	return PyType_Ready(&type);
}

PyObject *wsgi_early_hints_create(PyObject *start)
{
	struct hints *hints = spare ? spare : PyObject_New(struct hints, &type);

	if (hints == NULL)
		return NULL;
	spare = NULL;
	hints->vectorcall = hints_call;
	hints->start = start;
	return (PyObject *)hints;
}

void wsgi_early_hints_end(PyObject *self)
{
	struct hints *hints = (struct hints *)self;

	hints->start = NULL;
	if (spare == NULL && Py_REFCNT(hints) == 1)
		spare = hints;
	else
		Py_DECREF(hints);
}
