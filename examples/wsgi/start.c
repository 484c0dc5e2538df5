/* The callables start_response() and write(). Both objects are reused unless the application keeps them. */
#include "start.h"
#include "response_headers.h"
#include "interpreter.h"
#include "request_hooks.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/worker.h>

#include <stddef.h>
#include <string.h>

struct start {
	PyObject_HEAD
	vectorcallfunc vectorcall;
	struct prefork_request *request; /* NULL: finished                     */
	struct writer *writer;           /* result of start_response(): write() */
	PyObject *status, *headers; /* arguments of the last call, for post_request; else NULL */
	int64_t length;
	unsigned writing; /* number of threads in prefork_response_write() */
	bool closed;      /* the response is complete: write() fails      */
	bool called;
	bool written;
};

struct writer {
	PyObject_HEAD
	vectorcallfunc vectorcall;
	struct start *start; /* borrowed; NULL once it is freed */
};

static struct start *spare;   /* for the next request: the application holds no reference to it or its writer */
static PyObject *last_status; /* last status object, which applications often reuse, and its code               */
static int last_code;

/* "200 OK" -> 200. 0 with an exception set. */
static int code_of(PyObject *status)
{
	size_t size;
	const char *text = wsgi_latin1(status, "the status", &size);

	if (text == NULL)
		return 0;
	if (size >= 3 && text[0] >= '2' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9' && text[2] >= '0' &&
	    text[2] <= '9' && (size == 3 || text[3] == ' ') && strlen(text) == size)
		return (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
	PyErr_Format(PyExc_ValueError, "the status must be like \"200 OK\", not %R", status);
	return 0;
}

static int set_status(struct start *start, PyObject *status)
{
	const char *text;
	int r;

	if (status != last_status) {
		const int code = code_of(status);

		if (code == 0)
			return -1;
		last_code = code;
		Py_XSETREF(last_status, Py_NewRef(status));
	}
	text = (const char *)PyUnicode_1BYTE_DATA(status);
	r = prefork_response_start(start->request, last_code, PyUnicode_GET_LENGTH(status) > 4 ? text + 4 : "");
	return r < 0 ? wsgi_refuse(r) : 0;
}

static int set_head(struct start *start, PyObject *status, PyObject *headers)
{
	const int r = set_status(start, status) < 0 ? -1 : wsgi_response_headers_add(start->request, headers, &start->length);

	if (r == 0)
		start->called = true;
	else
		(void)prefork_response_reset(start->request);
	if (r == 0 && (wsgi_has_post_request || wsgi_has_access)) {
		Py_XSETREF(start->status, Py_NewRef(status));
		Py_XSETREF(start->headers, Py_NewRef(headers));
	}
	return r;
}

/* Whether the head has been sent, or is about to be sent: by another thread, or with a complete body. */
static bool is_begun(const struct start *start)
{
	return start->closed || start->writing > 0 || prefork_response_begun(start->request);
}

/* PEP 3333: a second call must pass exc_info; if the head has been sent, it raises that exception. */
static int begin_again(struct start *start, PyObject *exc_info)
{
	PyObject *type, *value, *traceback;

	if (exc_info == NULL || exc_info == Py_None) {
		PyErr_SetString(PyExc_AssertionError, "start_response called a second time without exc_info");
		return -1;
	}
	if (!is_begun(start)) {
		start->called = false;
		return prefork_response_reset(start->request) < 0 ? wsgi_refuse(-EINVAL) : 0;
	}
	if (!PyArg_ParseTuple(exc_info, "OOO:exc_info", &type, &value, &traceback))
		return -1;
	PyErr_Restore(Py_NewRef(type), Py_NewRef(value), traceback == Py_None ? NULL : Py_NewRef(traceback));
	return -1;
}

static PyObject *writer_call(PyObject *self, PyObject *const *arguments, size_t flagged, PyObject *names)
{
	struct writer *writer = (struct writer *)self;
	const Py_ssize_t count = PyVectorcall_NARGS(flagged);
	PyObject *piece;
	int r;

	if (count != 1 || (names && PyTuple_GET_SIZE(names) > 0))
		return PyErr_Format(PyExc_TypeError, "write() takes one argument, bytes");
	if (writer->start == NULL)
		return PyErr_Format(PyExc_RuntimeError, "write() called after the end of its request");
	piece = wsgi_bytes(arguments[0]);
	r = piece ? wsgi_start_write((PyObject *)writer->start, piece) : -1;
	Py_XDECREF(piece);
	if (r < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *start_call(PyObject *self, PyObject *const *arguments, size_t flagged, PyObject *names)
{
	struct start *start = (struct start *)self;
	const Py_ssize_t count = PyVectorcall_NARGS(flagged) + (names ? PyTuple_GET_SIZE(names) : 0);
	PyObject *exc_info = count == 3 ? arguments[2] : NULL;

	if (names && (PyTuple_GET_SIZE(names) != 1 || count != 3 ||
	              PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "exc_info") != 0))
		return PyErr_Format(PyExc_TypeError, "start_response() takes status, headers and exc_info");
	if (count < 2 || count > 3)
		return PyErr_Format(PyExc_TypeError, "start_response() takes 2 or 3 arguments (%zd given)", count);
	if (start->request == NULL)
		return PyErr_Format(PyExc_RuntimeError, "start_response called after the end of its request");
	if (start->called && begin_again(start, exc_info) < 0)
		return NULL;
	if (start->closed || start->writing > 0) /* another thread writes, or early_hints() holds the request */
		return PyErr_Format(PyExc_RuntimeError, "start_response called while another thread sends the response");
	if (set_head(start, arguments[0], arguments[1]) < 0)
		return NULL;
	return Py_NewRef((PyObject *)start->writer);
}

int wsgi_start_write(PyObject *self, PyObject *piece)
{
	struct start *start = (struct start *)self;
	struct prefork_request *const request = start->request;
	int r;

	if (request == NULL || start->closed || !start->called) {
		PyErr_SetString(PyExc_RuntimeError, request == NULL  ? "write() called after the end of its request"
		                                    : start->closed ? "write() called after the end of the body"
		                                                    : "write() called before start_response()");
		return -1;
	}
	if (PyBytes_GET_SIZE(piece) == 0)
		return 0;
	start->written = true;
	start->writing++;
	Py_BEGIN_ALLOW_THREADS /* wsgi_start_end() clears start->request meanwhile, and then waits for `writing` */
	r = prefork_response_write(request, PyBytes_AS_STRING(piece), (size_t)PyBytes_GET_SIZE(piece));
	Py_END_ALLOW_THREADS
	start->writing--;
	if (PyErr_Occurred()) /* thrown into this task while it waited for the client */
		return -1;
	return r < 0 ? wsgi_refuse(r) : 0;
}

static void start_free(PyObject *self)
{
	struct start *start = (struct start *)self;

	if (start->writer)
		start->writer->start = NULL;
	Py_XDECREF(start->writer);
	Py_XDECREF(start->status);
	Py_XDECREF(start->headers);
	PyObject_Free(self);
}

static PyTypeObject start_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "prefork.StartResponse",
	.tp_basicsize = sizeof(struct start),
	.tp_dealloc = start_free,
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
	.tp_vectorcall_offset = offsetof(struct start, vectorcall),
	.tp_call = PyVectorcall_Call,
	.tp_doc = "start_response(status, headers, exc_info=None) -> write",
};

static PyTypeObject writer_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "prefork.Write",
	.tp_basicsize = sizeof(struct writer),
	.tp_dealloc = (destructor)PyObject_Free,
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
	.tp_vectorcall_offset = offsetof(struct writer, vectorcall),
	.tp_call = PyVectorcall_Call,
	.tp_doc = "write(bytes)",
};

int wsgi_start_prepare(void)
{
	return PyType_Ready(&start_type) < 0 || PyType_Ready(&writer_type) < 0 ? -1 : 0;
}

static struct start *make_start(void)
{
	struct start *start = PyObject_New(struct start, &start_type);

	if (start == NULL)
		return NULL;
	start->vectorcall = start_call;
	start->status = start->headers = NULL;
	start->writer = PyObject_New(struct writer, &writer_type);
	if (start->writer == NULL) {
		Py_DECREF(start);
		return NULL;
	}
	start->writer->vectorcall = writer_call;
	start->writer->start = start;
	return start;
}

PyObject *wsgi_start_create(struct prefork_request *request)
{
	struct start *start = spare ? spare : make_start();

	if (start == NULL)
		return NULL;
	spare = NULL;
	start->request = request;
	start->length = -1;
	start->writing = 0;
	start->called = start->written = start->closed = false;
	return (PyObject *)start;
}

/* Wait for threads of the application that are in write(). Each may take as long as the client reads slowly: report
 * activity, as if this thread wrote. */
void wsgi_start_close(PyObject *self)
{
	struct start *start = (struct start *)self;

	start->closed = true;
	while (start->writing > 0) {
		prefork_worker_beat(prefork_request_worker(start->request));
		wsgi_yield(start->request);
	}
}

struct prefork_request *wsgi_start_lend(PyObject *self)
{
	struct start *start = (struct start *)self;

	if (start->closed || start->writing > 0)
		return NULL;
	start->writing++;
	return start->request;
}

void wsgi_start_return(PyObject *self)
{
	((struct start *)self)->writing--;
}

void wsgi_start_end(PyObject *self)
{
	struct start *start = (struct start *)self;

	wsgi_start_close(self);
	start->request = NULL;
	Py_CLEAR(start->status);
	Py_CLEAR(start->headers);
	if (spare == NULL && Py_REFCNT(start) == 1 && Py_REFCNT(start->writer) == 1)
		spare = start;
	else
		Py_DECREF(start);
}

PyObject *wsgi_start_status(PyObject *start)
{
	return ((struct start *)start)->status;
}

PyObject *wsgi_start_headers(PyObject *start)
{
	return ((struct start *)start)->headers;
}

bool wsgi_start_was_called(PyObject *start)
{
	return ((struct start *)start)->called;
}

bool wsgi_start_has_written(PyObject *start)
{
	return ((struct start *)start)->written;
}

int64_t wsgi_start_length(PyObject *start)
{
	return ((struct start *)start)->length;
}
