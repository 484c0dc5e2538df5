#include "wsgi_request.h"
#include "environ.h"
#include "errors.h"
#include "failure.h"
#include "response_headers.h"
#include "file.h"
#include "early_hints.h"
#include "input.h"
#include "interpreter.h"
#include "header_names.h"
#include "forked_children.h"
#include "start.h"
#include "template.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/log.h>
#include <prefork/service.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
	LATER_MAX = 64 * 1024,   /* a larger body is not kept until the next request               */
	SLICE_MAX = 256 * 1024,  /* of a piece is given out at a time                              */
};

static PyObject *no_bytes; /* b"" */

int wsgi_call_prepare(void)
{
	no_bytes = PyBytes_FromStringAndSize(NULL, 0);
	return wsgi_hints_prepare() < 0 || wsgi_input_prepare() < 0 || wsgi_file_prepare() < 0 || wsgi_start_prepare() < 0 ? -1 : 0;
}

/* One request in the hands of the application. */
struct call {
	const struct wsgi_host *host;
	struct prefork_request *request;
	PyObject *context; /* of its own: others run in this thread meanwhile, and it goes on in other threads */
	PyObject *input;
	PyObject *start;    /* start_response */
	PyObject *iterable; /* what the application returned */
	PyObject *iterator;
	PyObject *piece; /* of the body: the one that is being sent */
	bool pending;    /* it was not given out whole */
	Py_ssize_t given; /* what of it was             */
	int error;       /* of FAILED, or of sending what is ANSWERED */
	int fd;          /* of FILE_RANGE */
	int64_t offset, size;
};

/* What is left to do when the GIL is given up. */
enum next {
	FAILED,
	ANSWERED,
	WHOLE,      /* send `piece`: it is all of the body   */
	FILE_RANGE, /* let the kernel send a part of `fd`    */
	PULLED,     /* let the library ask for the pieces    */
};

/* Takes the exception that is set. A client that left is no error of the application. */
static void report(struct call *call)
{
	const int error = prefork_request_error(call->request);
	const bool expected = error < 0 && error != -ENOBUFS && PyErr_ExceptionMatches(PyExc_OSError);
	const char *method = prefork_request_method(call->request, NULL);
	const char *target = prefork_request_target(call->request, NULL);
	char title[1024], line[512];
	PyObject *text = wsgi_failure_take(line, sizeof line);
	Py_ssize_t size = 0;
	const char *bytes = text ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;

	if (expected) {
		prefork_log_printf(call->host->log, PREFORK_LOG_INFO, "wsgi", "Client lost during request %s %s: %s", method,
		                target, line);
	} else if (bytes) {
		(void)snprintf(title, sizeof title, "Error handling request %s %s", method, target);
		prefork_log_block(call->host->log, PREFORK_LOG_ERROR, "wsgi", title, bytes, (size_t)size);
	} else {
		prefork_log_printf(call->host->log, PREFORK_LOG_ERROR, "wsgi", "Error handling request %s %s: %s", method,
		                target, line);
	}
	PyErr_Clear();
	Py_XDECREF(text);
}

/* Takes the exception that is set, and what was begun of a response that has not left. */
static enum next fail(struct call *call)
{
	const int lost = prefork_request_error(call->request);

	if (call->start)
		wsgi_start_close(call->start);
	report(call);
	if (!prefork_response_begun(call->request))
		(void)prefork_response_reset(call->request);
	call->error = lost < 0 ? lost : PREFORK_EAPP; /* it is in the log already */
	return FAILED;
}

/* The application was run, and may have forked: its child has no business here. */
static void stay_parent(void)
{
	if (wsgi_is_forked_children)
		wsgi_forked_children_end();
}

/* The next piece that is not empty, in `call->piece`. 1, 0 at the end, -1 with an exception set. */
static int next_piece(struct call *call)
{
	do {
		Py_XSETREF(call->piece, PyIter_Next(call->iterator));
		stay_parent();
		if (call->piece == NULL)
			return PyErr_Occurred() ? -1 : 0;
		if (!PyBytes_Check(call->piece)) {
			Py_SETREF(call->piece, wsgi_bytes(call->piece));
			if (call->piece == NULL)
				return -1;
		}
	} while (PyBytes_GET_SIZE(call->piece) == 0);
	return 1;
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
	                   : PyObject_CallMethod(no_bytes, "join", "(O)", list); /* a tuple alone would be the arguments */
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

static enum next end_response(struct call *call)
{
	wsgi_start_close(call->start); /* no piece may follow the end */
	Py_BEGIN_ALLOW_THREADS
	call->error = prefork_response_end(call->request);
	Py_END_ALLOW_THREADS
	return ANSWERED; /* a client that is gone is nothing to log */
}

/* Piece by piece, in this thread: what the client does not take yet the library keeps. */
static enum next write_pieces(struct call *call, int more)
{
	while (more > 0) {
		if (wsgi_start_write(call->start, call->piece) < 0) {
			call->error = prefork_request_error(call->request);
			if (call->error == 0)
				return fail(call);
			PyErr_Clear(); /* a client that is gone is nothing to log */
			return FAILED;
		}
		more = next_piece(call);
	}
	return more < 0 ? fail(call) : end_response(call);
}

/* An iterable may belong to its thread: cursors of databases do, and what is thread-local. Where a thread may
 * wait, one that has begun it ends it. In a loop without threads pieces are asked for as the
 * client takes them; but after write() they, too, can only be written. */
static bool is_written(const struct call *call)
{
	return wsgi_start_has_written(call->start) ||
	       prefork_connection_may_block(prefork_request_connection(call->request));
}

/* Whether what the body is made of is of no use to the client. One without an end would be iterated for ever. */
static bool sends_head_only(const struct call *call)
{
	const int status = prefork_response_status(call->request);

	return status == 204 || status == 304 || strcmp(prefork_request_method(call->request, NULL), "HEAD") == 0;
}

/* The head may not leave before the first piece is there: the application may change its mind. */
static enum next answer_pieces(struct call *call)
{
	int more;

	call->iterator = PyObject_GetIter(call->iterable);
	if (call->iterator == NULL)
		return fail(call);
	more = next_piece(call);
	if (more < 0 || must_be_started(call) < 0)
		return fail(call);
	if (more == 0 || sends_head_only(call))
		return end_response(call);
	if (is_written(call))
		return write_pieces(call, more);
	wsgi_start_close(call->start);
	call->pending = true;
	return PULLED;
}

static enum next answer_file(struct call *call)
{
	const int64_t length = wsgi_start_length(call->start);

	if (must_be_started(call) < 0)
		return fail(call);
	if (length >= 0 && sends_head_only(call))
		return end_response(call); /* the file may be of another length */
	if (length >= 0 && length < call->size)
		call->size = length;
	wsgi_start_close(call->start);
	return FILE_RANGE;
}

static enum next answer(struct call *call)
{
	call->piece = whole_body(call);
	if (PyErr_Occurred() || (call->piece && must_be_started(call) < 0)) {
		Py_CLEAR(call->piece);
		return fail(call);
	}
	if (call->piece) {
		wsgi_start_close(call->start);
		return WHOLE;
	}
	/* In this order: to look at the file runs Python, and another thread may write meanwhile. */
	if (wsgi_file_sendable(call->iterable, &call->fd, &call->offset, &call->size) &&
	    !wsgi_start_has_written(call->start))
		return answer_file(call);
	return answer_pieces(call);
}

/* What the operator has set does not go with what the client asks for. */
static enum next refuse_path(struct call *call, const char *mount)
{
	static const char message[] = "The path of this request is not below SCRIPT_NAME.\n";

	prefork_log_printf(call->host->log, PREFORK_LOG_ERROR, "wsgi", "%s %s is not below SCRIPT_NAME, which is \"%s\"",
	                prefork_request_method(call->request, NULL), prefork_request_target(call->request, NULL), mount);
	call->piece = PyBytes_FromString(message);
	if (call->piece == NULL || prefork_response_start(call->request, 500, NULL) < 0 ||
	    prefork_response_field(call->request, "Content-Type", "text/plain") < 0)
		return fail(call);
	return WHOLE;
}

static enum next run(struct call *call)
{
	struct wsgi_template *template = call->host->templates[prefork_request_listener(call->request)];
	PyObject *arguments[3] = { NULL };

	call->context = PyContext_CopyCurrent();
	if (call->context == NULL || PyContext_Enter(call->context) < 0)
		return fail(call);
	call->input = wsgi_input_create(call->request);
	call->start = call->input ? wsgi_start_create(call->request) : NULL;
	arguments[1] = call->start ? wsgi_environ_create(template, call->request, call->input) : NULL;
	arguments[2] = call->start;
	if (arguments[1] == NULL)
		return PyErr_Occurred() ? fail(call) : refuse_path(call, template->mount);
	wsgi_hints_for(call->start);
	call->iterable = PyObject_Vectorcall(call->host->application, arguments + 1,
	                                     2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
	Py_DECREF(arguments[1]);
	stay_parent();
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
	stay_parent();
	if (result == NULL)
		report(call);
	Py_XDECREF(result);
	Py_XDECREF(method);
}

/* Not before its context is entered again may more of the application be run. */
static void leave(const struct call *call)
{
	if (call->context && PyContext_Exit(call->context) < 0)
		PyErr_WriteUnraisable(call->context);
}

/* All but `piece`, which may still have to be sent. */
static void end(struct call *call)
{
	close_iterable(call);
	leave(call);
	wsgi_errors_finish_line();
	Py_XDECREF(call->context);
	if (call->start)
		wsgi_start_end(call->start);
	if (call->input)
		wsgi_input_end(call->input);
	Py_XDECREF(call->iterator);
	Py_XDECREF(call->iterable);
}

static void end_kept(struct call *call)
{
	prefork_request_set_user(call->request, NULL);
	Py_CLEAR(call->piece);
	end(call);
	PyMem_Free(call);
}

/* Called by the library whenever the client can take more. What was given out stays until then. */
static ptrdiff_t pull(struct prefork_request *request, const void **ret_bytes, void *user)
{
	struct call *call = user;
	int more = 1;
	Py_ssize_t size = 0;

	(void)request;
	if (!call->pending) {
		if (!wsgi_gil_take())
			return -ENOMEM;
		(void)PyContext_Enter(call->context);
		more = next_piece(call);
		call->given = 0;
		if (more < 0)
			(void)fail(call);
		size = call->error;
		if (more <= 0)
			end_kept(call);
		else
			leave(call);
		wsgi_gil_release();
	}
	if (more <= 0)
		return size;
	*ret_bytes = PyBytes_AS_STRING(call->piece) + call->given;
	size = PyBytes_GET_SIZE(call->piece) - call->given;
	size = size < SLICE_MAX ? size : SLICE_MAX;
	call->given += size;
	call->pending = call->given < PyBytes_GET_SIZE(call->piece);
	return size;
}

/* The GIL is not held. Takes `piece`. */
static int send_whole(struct prefork_request *request, PyObject *piece)
{
	const size_t size = (size_t)PyBytes_GET_SIZE(piece);
	int r;

	if (size <= LATER_MAX) {
		r = prefork_response_last(request, PyBytes_AS_STRING(piece), size);
		wsgi_drop_later(piece);
		return r;
	}
	r = prefork_response_bytes(request, PyBytes_AS_STRING(piece), size); /* the GIL may keep us waiting */
	if (wsgi_gil_take()) {
		Py_DECREF(piece);
		wsgi_gil_release();
	}
	return r;
}

/* What outlives the handling of the request. NULL and FAILED when memory ran out. */
static struct call *keep(struct call *call, enum next *next)
{
	struct call *kept = PyMem_Malloc(sizeof *kept);

	if (kept) {
		leave(call);
		*kept = *call;
		prefork_request_set_user(call->request, kept);
		return kept;
	}
	(void)PyErr_NoMemory();
	*next = fail(call);
	Py_CLEAR(call->piece);
	end(call);
	return NULL;
}

int wsgi_call_handle(struct prefork_request *request, const struct wsgi_host *host)
{
	struct call call = { .host = host, .request = request }, *kept = NULL;
	enum next next;

	if (!wsgi_gil_take())
		return -ENOMEM;
	next = run(&call);
	wsgi_hints_for(NULL); /* the response was started, or will not be */
	if (next == FILE_RANGE || next == PULLED)
		kept = keep(&call, &next);
	else
		end(&call);
	if (next == FAILED || next == ANSWERED)
		Py_CLEAR(call.piece);
	wsgi_gil_release();
	if (next == WHOLE)
		return send_whole(request, call.piece);
	if (next == FILE_RANGE)
		return prefork_response_file(request, call.fd, call.offset, call.size);
	if (next == PULLED)
		return prefork_response_pull(request, pull, kept);
	return call.error;
}

void wsgi_call_finished(struct prefork_request *request)
{
	struct call *call = prefork_request_user(request);

	if (call == NULL || !wsgi_gil_take())
		return;
	(void)PyContext_Enter(call->context);
	end_kept(call);
	wsgi_gil_release();
}
