#include "call.h"
#include "environ.h"
#include "failure.h"
#include "file.h"
#include "input.h"
#include "interpreter.h"
#include "names.h"
#include "start.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/log.h>

#include <errno.h>
#include <stdbool.h>

static PyObject *no_bytes; /* b"" */

int wsgi_call_prepare(void)
{
	no_bytes = PyBytes_FromStringAndSize(NULL, 0);
	return wsgi_input_prepare() < 0 || wsgi_file_prepare() < 0 || wsgi_start_prepare() < 0 ? -1 : 0;
}

/* One request in the hands of the application. */
struct call {
	const struct wsgi_host *host;
	struct prefork_request *request;
	PyObject *input;
	PyObject *start;    /* start_response */
	PyObject *iterable; /* what the application returned */
	PyObject *iterator;
	PyObject *piece; /* the one that is being sent */
	bool pending;    /* it was not given out yet   */
};

/* Takes the exception that is set. A client that left is no error of the application. */
static int fail(struct call *call)
{
	const int lost = prefork_request_error(call->request);
	const bool expected = lost < 0 && PyErr_ExceptionMatches(PyExc_OSError);
	const char *method = prefork_request_method(call->request, NULL);
	const char *target = prefork_request_target(call->request, NULL);
	char title[1024], line[512];
	PyObject *text = wsgi_failure_take(line, sizeof line);
	Py_ssize_t size = 0;
	const char *bytes = text ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;

	if (expected) {
		prefork_log_say(call->host->log, PREFORK_INFO, "wsgi", "Client lost during request %s %s: %s", method,
		                target, line);
	} else if (bytes) {
		(void)snprintf(title, sizeof title, "Error handling request %s %s", method, target);
		prefork_log_block(call->host->log, PREFORK_ERROR, "wsgi", title, bytes, (size_t)size);
	} else {
		prefork_log_say(call->host->log, PREFORK_ERROR, "wsgi", "Error handling request %s %s: %s", method,
		                target, line);
	}
	PyErr_Clear();
	Py_XDECREF(text);
	if (!prefork_response_begun(call->request))
		(void)prefork_response_reset(call->request);
	return lost < 0 ? lost : PREFORK_EAPP; /* which says: it is in the log */
}

/* The next piece that is not empty, in `call->piece`. 1, 0 at the end, -1 with an exception set. */
static int next_piece(struct call *call)
{
	do {
		Py_XSETREF(call->piece, PyIter_Next(call->iterator));
		if (call->piece == NULL)
			return PyErr_Occurred() ? -1 : 0;
		if (!PyBytes_Check(call->piece)) {
			PyErr_Format(PyExc_TypeError, "the body is made of bytes, not of %.100s",
			             Py_TYPE(call->piece)->tp_name);
			return -1;
		}
	} while (PyBytes_GET_SIZE(call->piece) == 0);
	return 1;
}

/* Called by the library whenever the client can take more. What was given out stays until then. */
static ptrdiff_t pull(struct prefork_request *request, const void **ret_bytes, void *user)
{
	struct call *call = user;
	int more = 1;
	ptrdiff_t size = 0;

	(void)request;
	if (!wsgi_gil_take())
		return -ENOMEM;
	if (!call->pending)
		more = next_piece(call);
	call->pending = false;
	if (more < 0) {
		size = fail(call);
	} else if (more > 0) {
		*ret_bytes = PyBytes_AS_STRING(call->piece);
		size = PyBytes_GET_SIZE(call->piece);
	}
	wsgi_gil_release();
	return size;
}

/* A list or tuple of bytes as one, *new*: all of it is there, so its length can be told. NULL without
 * an exception: it is none, or the application said another length. */
static PyObject *whole_body(struct call *call)
{
	PyObject *list = call->iterable, *whole;
	const Py_ssize_t count = PyList_CheckExact(list) || PyTuple_CheckExact(list) ? PySequence_Fast_GET_SIZE(list) : -1;

	if (count < 0 || wsgi_start_has_written(call->start))
		return NULL;
	for (Py_ssize_t i = 0; i < count; i++) {
		if (!PyBytes_Check(PySequence_Fast_GET_ITEM(list, i)))
			return NULL; /* where it is iterated it is an error */
	}
	whole = count == 1 ? Py_NewRef(PySequence_Fast_GET_ITEM(list, 0))
	                   : PyObject_CallMethod(no_bytes, "join", "O", list);
	if (whole && wsgi_start_length(call->start) >= 0 && wsgi_start_length(call->start) != PyBytes_GET_SIZE(whole))
		Py_CLEAR(whole);
	return whole;
}

static int must_be_started(struct call *call)
{
	if (wsgi_start_was_called(call->start))
		return 0;
	PyErr_SetString(PyExc_AssertionError, "the application returned without calling start_response");
	return -1;
}

static int answer_whole(struct call *call, PyObject *whole)
{
	int r;

	Py_BEGIN_ALLOW_THREADS
	r = prefork_response_bytes(call->request, PyBytes_AS_STRING(whole), (size_t)PyBytes_GET_SIZE(whole));
	Py_END_ALLOW_THREADS
	return r; /* a client that is gone is nothing to log */
}

static int answer_file(struct call *call, int fd, int64_t offset, int64_t size)
{
	const int64_t length = wsgi_start_length(call->start);
	int r;

	Py_BEGIN_ALLOW_THREADS
	r = prefork_response_file(call->request, fd, offset, length >= 0 && length < size ? length : size);
	Py_END_ALLOW_THREADS
	return r;
}

/* After write() the rest of the body can only be written, too. */
static int answer_written(struct call *call, int more)
{
	while (more > 0) {
		if (wsgi_start_write(call->start, call->piece) < 0)
			return fail(call);
		more = next_piece(call);
	}
	return more < 0 ? fail(call) : prefork_response_end(call->request);
}

/* The head may not leave before the first piece is there: the application may change its mind. */
static int answer_pieces(struct call *call)
{
	int more;

	call->iterator = PyObject_GetIter(call->iterable);
	if (call->iterator == NULL)
		return fail(call);
	more = next_piece(call);
	if (more < 0 || must_be_started(call) < 0)
		return fail(call);
	if (wsgi_start_has_written(call->start))
		return answer_written(call, more);
	if (more == 0)
		return prefork_response_end(call->request);
	call->pending = true;
	return prefork_response_pull(call->request, pull, call);
}

static int answer(struct call *call)
{
	PyObject *whole = whole_body(call);
	int64_t offset, size;
	int fd, r;

	if (PyErr_Occurred() || (whole && must_be_started(call) < 0)) {
		Py_XDECREF(whole);
		return fail(call);
	}
	if (whole) {
		r = answer_whole(call, whole);
		Py_DECREF(whole);
		return r;
	}
	if (!wsgi_start_has_written(call->start) && wsgi_file_sendable(call->iterable, &fd, &offset, &size))
		return must_be_started(call) < 0 ? fail(call) : answer_file(call, fd, offset, size);
	return answer_pieces(call);
}

static int run(struct call *call)
{
	PyObject *template = call->host->templates[prefork_request_listener(call->request)];
	PyObject *arguments[3] = { NULL };

	call->input = wsgi_input_create(call->request);
	call->start = call->input ? wsgi_start_create(call->request) : NULL;
	arguments[1] = call->start ? wsgi_environ_create(template, call->request, call->input) : NULL;
	arguments[2] = call->start;
	if (arguments[1])
		call->iterable = PyObject_Vectorcall(call->host->application, arguments + 1,
		                                     2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
	Py_XDECREF(arguments[1]);
	return call->iterable ? answer(call) : fail(call);
}

/* PEP 3333: close() is called once, however the request ended. */
static void close_iterable(struct call *call)
{
	PyObject *method, *result;

	if (call->iterable == NULL || PyList_CheckExact(call->iterable) || PyTuple_CheckExact(call->iterable))
		return;
	method = PyObject_GetAttr(call->iterable, wsgi_keys.close);
	if (method == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
		PyErr_Clear();
		return;
	}
	result = method ? PyObject_CallNoArgs(method) : NULL;
	if (result == NULL)
		(void)fail(call);
	Py_XDECREF(result);
	Py_XDECREF(method);
}

int wsgi_call_handle(struct prefork_request *request, const struct wsgi_host *host)
{
	struct call *call;
	int r;

	if (!wsgi_gil_take())
		return -ENOMEM;
	call = PyMem_Calloc(1, sizeof *call);
	r = call ? 0 : -ENOMEM;
	if (call) {
		call->host = host;
		call->request = request;
		prefork_request_set_user(request, call);
		r = run(call);
	}
	wsgi_gil_release();
	return r;
}

void wsgi_call_finished(struct prefork_request *request)
{
	struct call *call = prefork_request_user(request);

	if (call == NULL || !wsgi_gil_take())
		return;
	close_iterable(call);
	if (call->input)
		wsgi_input_end(call->input);
	if (call->start)
		wsgi_start_end(call->start);
	Py_XDECREF(call->piece);
	Py_XDECREF(call->iterator);
	Py_XDECREF(call->iterable);
	Py_XDECREF(call->start);
	Py_XDECREF(call->input);
	PyMem_Free(call);
	prefork_request_set_user(request, NULL);
	wsgi_gil_release();
}
