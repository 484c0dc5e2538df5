/* wsgi.input: read(), readline(), readlines() and iteration over a request body. */
#include "input.h"
#include "interpreter.h"

#include <prefork/http.h>
#include <prefork/service.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
	BUFFER_SIZE = 8192,     /* for lines                                                          */
	FIRST_SIZE = 64 * 1024, /* do not allocate what Content-Length claims: grow as bytes arrive */
};

struct input {
	PyObject_HEAD
	struct prefork_request *request; /* NULL: finished             */
	char *buffer;                    /* NULL until a line is wanted */
	size_t begin, end;               /* unread part of it           */
	bool reading;
	bool ended;
	int error;
};

static struct input *spare; /* for the next request: the application holds no reference to it */

/* Returns the number of bytes read, 0 at the end of the body, -1 with an exception set. */
static Py_ssize_t receive(struct input *input, char *bytes, size_t size)
{
	struct prefork_request *const request = input->request;
	ptrdiff_t n = input->error;

	if (request == NULL) {
		PyErr_SetString(PyExc_ValueError, "wsgi.input is used after its request");
		return -1;
	}
	if (input->reading) {
		PyErr_SetString(PyExc_RuntimeError, "wsgi.input is being read by another thread");
		return -1;
	}
	if (input->ended || size == 0)
		return 0;
	if (n == 0) {
		input->reading = true;
		Py_BEGIN_ALLOW_THREADS /* wsgi_input_end() clears input->request meanwhile, and then waits for `reading` */
		n = prefork_request_read(request, bytes, size);
		Py_END_ALLOW_THREADS
		input->reading = false;
		if (PyErr_Occurred()) /* thrown into this task while it waited for the client: the body is still there */
			return -1;
	}
	if (n < 0) {
		input->error = n == -ECANCELED ? 0 : (int)n; /* cancelled: the body may be read later */
		errno = -(int)n;
		(void)PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	input->ended = n == 0;
	return n;
}

static size_t take(struct input *input, char *bytes, size_t size)
{
	const size_t there = input->end - input->begin;
	const size_t n = there < size ? there : size;

	if (n > 0)
		memcpy(bytes, input->buffer + input->begin, n);
	input->begin += n;
	return n;
}

/* `want` bytes, fewer at the end of the body; -1: the whole body. */
static PyObject *read_up_to(struct input *input, Py_ssize_t want)
{
	const Py_ssize_t limit = want < 0 ? PY_SSIZE_T_MAX : want;
	Py_ssize_t size = limit < FIRST_SIZE ? limit : FIRST_SIZE, have, n = 0;
	PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);

	if (bytes == NULL)
		return NULL;
	have = (Py_ssize_t)take(input, PyBytes_AS_STRING(bytes), (size_t)size);
	while (have < limit) {
		if (have == size) {
			size = size < limit / 2 ? size * 2 : limit;
			if (_PyBytes_Resize(&bytes, size) < 0)
				return NULL;
		}
		n = receive(input, PyBytes_AS_STRING(bytes) + have, (size_t)(size - have));
		if (n <= 0)
			break;
		have += n;
	}
	if (n < 0)
		Py_CLEAR(bytes);
	else if (have < size)
		(void)_PyBytes_Resize(&bytes, have); /* NULL and an exception if that fails */
	return bytes;
}

static bool fill(struct input *input)
{
	Py_ssize_t n;

	if (input->buffer == NULL && (input->buffer = PyMem_Malloc(BUFFER_SIZE)) == NULL) {
		(void)PyErr_NoMemory();
		return false;
	}
	n = receive(input, input->buffer, BUFFER_SIZE);
	if (n < 0)
		return false;
	input->begin = 0;
	input->end = (size_t)n;
	return true;
}

/* A line with its newline, at most `limit` bytes (-1: no limit); b"" at the end of the body. */
static PyObject *read_line(struct input *input, Py_ssize_t limit)
{
	PyObject *line = NULL;
	bool complete = limit == 0;

	while (!complete) {
		const Py_ssize_t have = line ? PyBytes_GET_SIZE(line) : 0;
		const char *newline;
		size_t n;

		if (input->begin == input->end && !fill(input)) {
			Py_XDECREF(line);
			return NULL;
		}
		n = input->end - input->begin;
		if (n == 0)
			break;
		if (limit > 0 && n > (size_t)(limit - have))
			n = (size_t)(limit - have);
		newline = memchr(input->buffer + input->begin, '\n', n);
		if (newline)
			n = (size_t)(newline + 1 - (input->buffer + input->begin));
		if (line == NULL)
			line = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n);
		else
			(void)_PyBytes_Resize(&line, have + (Py_ssize_t)n);
		if (line == NULL)
			return NULL;
		(void)take(input, PyBytes_AS_STRING(line) + have, n);
		complete = newline || have + (Py_ssize_t)n == limit;
	}
	return line ? line : PyBytes_FromStringAndSize(NULL, 0);
}

/* The optional argument; -1 if it is missing or None. */
static bool size_argument(const char *method, PyObject *const *arguments, Py_ssize_t count, Py_ssize_t *ret_size)
{
	*ret_size = -1;
	if (count > 1) {
		PyErr_Format(PyExc_TypeError, "%s() takes at most 1 argument (%zd given)", method, count);
		return false;
	}
	if (count == 1 && arguments[0] != Py_None)
		*ret_size = PyNumber_AsSsize_t(arguments[0], PyExc_OverflowError);
	return !(*ret_size == -1 && PyErr_Occurred());
}

static PyObject *input_read(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
	Py_ssize_t size;

	return size_argument("read", arguments, count, &size) ? read_up_to((struct input *)self, size) : NULL;
}

static PyObject *input_readline(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
	Py_ssize_t size;

	return size_argument("readline", arguments, count, &size) ? read_line((struct input *)self, size) : NULL;
}

static PyObject *input_readlines(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
	Py_ssize_t hint, total = 0;
	PyObject *lines;

	if (!size_argument("readlines", arguments, count, &hint) || (lines = PyList_New(0)) == NULL)
		return NULL;
	for (;;) {
		PyObject *line = read_line((struct input *)self, -1);
		const bool ok = line && (PyBytes_GET_SIZE(line) == 0 || PyList_Append(lines, line) == 0);
		const Py_ssize_t n = line ? PyBytes_GET_SIZE(line) : 0;

		Py_XDECREF(line);
		total += n;
		if (!ok)
			Py_CLEAR(lines);
		if (!ok || n == 0 || (hint > 0 && total >= hint))
			return lines;
	}
}

static PyObject *input_next(PyObject *self)
{
	PyObject *line = read_line((struct input *)self, -1);

	if (line && PyBytes_GET_SIZE(line) == 0)
		Py_CLEAR(line); /* NULL without an exception ends the iteration */
	return line;
}

static void input_free(PyObject *self)
{
	PyMem_Free(((struct input *)self)->buffer);
	PyObject_Free(self);
}

static PyMethodDef methods[] = {
	{ "read", (PyCFunction)(void (*)(void))input_read, METH_FASTCALL, "read([size]) -> bytes" },
	{ "readline", (PyCFunction)(void (*)(void))input_readline, METH_FASTCALL, "readline([size]) -> bytes" },
	{ "readlines", (PyCFunction)(void (*)(void))input_readlines, METH_FASTCALL, "readlines([hint]) -> list" },
	{ NULL, NULL, 0, NULL },
};

static PyTypeObject type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "prefork.Input",
	.tp_basicsize = sizeof(struct input),
	.tp_dealloc = input_free,
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_doc = "The body of a request.",
	.tp_iter = PyObject_SelfIter,
	.tp_iternext = input_next,
	.tp_methods = methods,
};

int wsgi_input_prepare(void)
{
	return PyType_Ready(&type);
}

PyObject *wsgi_input_create(struct prefork_request *request)
{
	struct input *input = spare ? spare : PyObject_New(struct input, &type);

	if (input == NULL)
		return NULL;
	spare = NULL;
	input->request = request;
	input->buffer = NULL;
	input->begin = input->end = 0;
	input->reading = input->ended = false;
	input->error = 0;
	return (PyObject *)input;
}

void wsgi_input_end(PyObject *self)
{
	struct input *input = (struct input *)self;

	struct prefork_request *const request = input->request;

	input->request = NULL;
	while (input->reading) { /* a thread or a task of the application still reads from the request */
		(void)prefork_connection_cancel_waits(prefork_request_connection(request));
		wsgi_yield(request);
	}
	if (spare == NULL && Py_REFCNT(input) == 1) {
		PyMem_Free(input->buffer);
		spare = input;
	} else {
		Py_DECREF(input);
	}
}
