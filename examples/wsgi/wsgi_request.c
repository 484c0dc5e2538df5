/* Calls the application for one request and sends what it returns: a list, a file, or pieces. */
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
#include "request_hooks.h"
#include "forked_children.h"
#include "start.h"
#include "template.h"
#include "wsgi_log.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	DEFERRED_MAX = 64 * 1024, /* largest body whose release waits until the thread takes the GIL again */
	SLICE_MAX = 256 * 1024,   /* largest part of a piece that pull() returns                           */
};

static PyObject *no_bytes; /* b"" */

int wsgi_request_prepare(void)
{
	no_bytes = PyBytes_FromStringAndSize(NULL, 0);
	return wsgi_early_hints_prepare() < 0 || wsgi_input_prepare() < 0 || wsgi_file_prepare() < 0 || wsgi_start_prepare() < 0 ? -1 : 0;
}

/* One request and its response. */
struct exchange {
	const struct wsgi_application *application;
	struct prefork_request *request;
	PyObject *context; /* contextvars: requests share a thread, and a pulled body continues in other threads */
	PyObject *input;
	PyObject *start;    /* start_response */
	PyObject *hints;    /* early_hints */
	struct wsgi_hooked *hooked; /* NULL: there are no hooks */
	PyObject *iterable; /* what the application returned */
	PyObject *iterator;
	PyObject *piece;  /* of the body: the one that is being sent         */
	bool pending;     /* pull() has not returned all of it                */
	Py_ssize_t sent;  /* how much of it pull() has returned               */
	int error;        /* NEXT_FAIL, NEXT_DONE: what the handler returns   */
	int fd;           /* NEXT_SEND_FILE */
	int64_t offset, size;
};

/* What remains to be done without the GIL. */
enum next {
	NEXT_FAIL,
	NEXT_DONE,
	NEXT_SEND_WHOLE, /* send `piece`, which is the whole body */
	NEXT_SEND_FILE,  /* sendfile(2) a range of `fd`           */
	NEXT_PULL,       /* the library pulls the pieces          */
};

/* In a worker that stops, the event loop ends its tasks by an exception such as GreenletExit, which is no error. */
static bool is_end_of_task(const struct exchange *exchange)
{
	return prefork_connection_is_task(prefork_request_connection(exchange->request)) &&
	       prefork_worker_directive(prefork_request_worker(exchange->request)) != PREFORK_CONTINUE &&
	       !PyErr_ExceptionMatches(PyExc_Exception);
}

/* Takes the exception that is set. If the client has disconnected, an OSError is expected: level INFO. */
static void report(struct exchange *exchange)
{
	const int error = prefork_request_error(exchange->request);
	const bool stops = is_end_of_task(exchange), expected = error < 0 && error != -ENOBUFS && PyErr_ExceptionMatches(PyExc_OSError);
	const char *method = prefork_request_method(exchange->request, NULL);
	const char *target = prefork_request_target(exchange->request, NULL);
	char line[512];
	PyObject *const text = wsgi_failure_take(line, sizeof line);

	if (stops)
		wsgi_log(PREFORK_LOG_INFO, "request_ended", "The worker stops and ends request %s %s: %s", method, target, line);
	else if (expected)
		wsgi_log(PREFORK_LOG_INFO, "client_lost", "Client lost during request %s %s: %s", method, target, line);
	else
		wsgi_failure_log(Py_XNewRef(text), "request_failed", "Error handling request %s %s", method, target);
	Py_XDECREF(text);
}

/* Takes the exception that is set. Discards a response whose head has not been sent. */
static enum next fail(struct exchange *exchange)
{
	const int lost = prefork_request_error(exchange->request);

	if (exchange->start)
		wsgi_start_close(exchange->start);
	report(exchange);
	if (!prefork_response_begun(exchange->request))
		(void)prefork_response_reset(exchange->request);
	exchange->error = lost < 0 ? lost : PREFORK_EAPP; /* report() has logged it */
	return NEXT_FAIL;
}

/* Set `exchange->piece` to the next non-empty piece. Returns 1; 0 at the end; -1 with an exception set. */
static int next_piece(struct exchange *exchange)
{
	do {
		Py_XSETREF(exchange->piece, PyIter_Next(exchange->iterator));
		wsgi_forked_child_stop();
		if (exchange->piece == NULL)
			return PyErr_Occurred() ? -1 : 0;
		if (!PyBytes_Check(exchange->piece)) {
			Py_SETREF(exchange->piece, wsgi_bytes(exchange->piece));
			if (exchange->piece == NULL)
				return -1;
		}
	} while (PyBytes_GET_SIZE(exchange->piece) == 0);
	return 1;
}

/* A list or tuple of bytes, joined, *new*: its length is known, so the response gets a Content-Length. NULL without
 * an exception: another kind of iterable, or the application has set another Content-Length. */
static PyObject *whole_body(struct exchange *exchange)
{
	PyObject *list = exchange->iterable, *whole;
	const Py_ssize_t count = PyList_CheckExact(list) || PyTuple_CheckExact(list) ? PySequence_Fast_GET_SIZE(list) : -1;

	if (count < 0 || wsgi_start_has_written(exchange->start))
		return NULL;
	for (Py_ssize_t i = 0; i < count; i++) {
		if (!PyBytes_Check(PySequence_Fast_GET_ITEM(list, i)))
			return NULL; /* next_piece() raises the exception */
	}
	whole = count == 1 ? Py_NewRef(PySequence_Fast_GET_ITEM(list, 0))
	                   : PyObject_CallMethod(no_bytes, "join", "(O)", list); /* without "()" a tuple would become the arguments */
	if (whole && wsgi_start_length(exchange->start) >= 0 && wsgi_start_length(exchange->start) != PyBytes_GET_SIZE(whole))
		Py_CLEAR(whole);
	return whole;
}

static int must_be_started(struct exchange *exchange)
{
	if (wsgi_start_was_called(exchange->start))
		return 0;
	PyErr_SetString(PyExc_AssertionError, "the application returned without calling start_response");
	return -1;
}

static enum next end_response(struct exchange *exchange)
{
	wsgi_start_close(exchange->start); /* write() in another thread must not follow the end */
	Py_BEGIN_ALLOW_THREADS
	exchange->error = prefork_response_end(exchange->request);
	Py_END_ALLOW_THREADS
	wsgi_drop_thrown();
	return NEXT_DONE; /* an error here is a disconnected client: not logged */
}

/* Write each piece in this thread; the library buffers what the socket does not accept. */
static enum next write_pieces(struct exchange *exchange, int more)
{
	while (more > 0) {
		if (wsgi_start_write(exchange->start, exchange->piece) < 0) {
			exchange->error = prefork_request_error(exchange->request);
			if (exchange->error == 0)
				return fail(exchange);
			PyErr_Clear(); /* the client has disconnected: not logged */
			return NEXT_FAIL;
		}
		more = next_piece(exchange);
	}
	return more < 0 ? fail(exchange) : end_response(exchange);
}

/* An iterable may be bound to its thread: database cursors, thread-local state. If the thread may block, it iterates
 * to the end. In an event loop without threads the library pulls the pieces as the socket becomes writable; but after
 * write() the response has begun, and the pieces are written, too. */
static bool must_write(const struct exchange *exchange)
{
	return wsgi_start_has_written(exchange->start) ||
	       prefork_connection_may_block(prefork_request_connection(exchange->request));
}

/* RFC 9110 6.4.1: no content in responses to HEAD, 204, 304. The iterable is not consumed: it may be infinite. */
static bool sends_head_only(const struct exchange *exchange)
{
	const int status = prefork_response_status(exchange->request);

	return status == 204 || status == 304 || strcmp(prefork_request_method(exchange->request, NULL), "HEAD") == 0;
}

/* PEP 3333: the head is not sent before the first non-empty piece; until then start_response() may be called again. */
static enum next respond_with_pieces(struct exchange *exchange)
{
	int more;

	exchange->iterator = PyObject_GetIter(exchange->iterable);
	if (exchange->iterator == NULL)
		return fail(exchange);
	more = next_piece(exchange);
	if (more < 0 || must_be_started(exchange) < 0)
		return fail(exchange);
	if (more == 0 || sends_head_only(exchange))
		return end_response(exchange);
	if (must_write(exchange))
		return write_pieces(exchange, more);
	wsgi_start_close(exchange->start);
	exchange->pending = true;
	return NEXT_PULL;
}

static enum next respond_with_file(struct exchange *exchange)
{
	const int64_t length = wsgi_start_length(exchange->start);

	if (must_be_started(exchange) < 0)
		return fail(exchange);
	if (length >= 0 && sends_head_only(exchange))
		return end_response(exchange); /* the file may have another length */
	if (length >= 0 && length < exchange->size)
		exchange->size = length;
	wsgi_start_close(exchange->start);
	return NEXT_SEND_FILE;
}

static enum next respond(struct exchange *exchange)
{
	exchange->piece = whole_body(exchange);
	if (PyErr_Occurred() || (exchange->piece && must_be_started(exchange) < 0)) {
		Py_CLEAR(exchange->piece);
		return fail(exchange);
	}
	if (exchange->piece) {
		wsgi_start_close(exchange->start);
		return NEXT_SEND_WHOLE;
	}
	/* In this order: wsgi_file_sendable() runs Python code, and another thread may call write() meanwhile. */
	if (wsgi_file_sendable(exchange->iterable, &exchange->fd, &exchange->offset, &exchange->size) &&
	    !wsgi_start_has_written(exchange->start))
		return respond_with_file(exchange);
	return respond_with_pieces(exchange);
}

/* SCRIPT_NAME is set, or was sent by a proxy, and the path of the request is outside of it. */
static enum next refuse_path(struct exchange *exchange, const char *mount)
{
	const char *const sent = prefork_request_header(exchange->request, "SCRIPT_NAME", NULL);
	static const char message[] = "The path of this request is not below SCRIPT_NAME.\n";

	wsgi_log(PREFORK_LOG_ERROR, "script_name_mismatch", "%s %s is not below SCRIPT_NAME, which is \"%s\"",
	         prefork_request_method(exchange->request, NULL), prefork_request_target(exchange->request, NULL), sent ? sent : mount);
	exchange->piece = PyBytes_FromString(message);
	if (exchange->piece == NULL || prefork_response_start(exchange->request, 500, NULL) < 0 ||
	    prefork_response_field(exchange->request, "Content-Type", "text/plain") < 0)
		return fail(exchange);
	return NEXT_SEND_WHOLE;
}

static enum next run(struct exchange *exchange)
{
	struct wsgi_template *template = exchange->application->templates[prefork_request_listener(exchange->request)];
	PyObject *arguments[3] = { NULL };

	exchange->context = PyContext_CopyCurrent();
	if (exchange->context == NULL || PyContext_Enter(exchange->context) < 0)
		return fail(exchange);
	exchange->input = wsgi_input_create(exchange->request);
	exchange->start = exchange->input ? wsgi_start_create(exchange->request) : NULL;
	exchange->hints = exchange->start ? wsgi_early_hints_create(exchange->start) : NULL;
	if (exchange->hints)
		arguments[1] = wsgi_environ_create(template, exchange->request, exchange->input, exchange->hints);
	arguments[2] = exchange->start;
	if (arguments[1] == NULL)
		return PyErr_Occurred() ? fail(exchange) : refuse_path(exchange, template->mount);
	if ((wsgi_has_pre_request || wsgi_has_post_request || wsgi_has_access) &&
	    wsgi_request_hooks_before(exchange->request, arguments[1], &exchange->hooked) < 0) {
		Py_DECREF(arguments[1]);
		return fail(exchange);
	}
	exchange->iterable = PyObject_Vectorcall(exchange->application->callable, arguments + 1,
	                                     2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
	Py_DECREF(arguments[1]);
	wsgi_forked_child_stop();
	return exchange->iterable ? respond(exchange) : fail(exchange);
}

/* PEP 3333: close() is called once, whether the request succeeded or not. */
static void close_iterable(struct exchange *exchange)
{
	PyObject *method, *result;

	if (exchange->iterable == NULL || PyList_CheckExact(exchange->iterable) || PyTuple_CheckExact(exchange->iterable))
		return;
	method = PyObject_GetAttr(exchange->iterable, wsgi_keys.close);
	if (method == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
		PyErr_Clear();
		return;
	}
	result = method ? PyObject_CallNoArgs(method) : NULL;
	wsgi_forked_child_stop();
	if (result == NULL)
		report(exchange);
	Py_XDECREF(result);
	Py_XDECREF(method);
}

/* Application code runs again only after PyContext_Enter(). */
static void exit_context(const struct exchange *exchange)
{
	if (exchange->context && PyContext_Exit(exchange->context) < 0)
		PyErr_WriteUnraisable(exchange->context);
}

/* Releases all but `piece`, which may still have to be sent. */
static void finish(struct exchange *exchange)
{
	close_iterable(exchange);
	exit_context(exchange);
	wsgi_errors_finish_line();
	Py_XDECREF(exchange->context);
	if (exchange->hints)
		wsgi_early_hints_end(exchange->hints);
	if (exchange->hooked && exchange->start)
		wsgi_request_hooks_note(exchange->hooked, exchange->start);
	if (exchange->start)
		wsgi_start_end(exchange->start);
	if (exchange->input)
		wsgi_input_end(exchange->input);
	Py_XDECREF(exchange->iterator);
	Py_XDECREF(exchange->iterable);
}

/* Without the GIL. A line of the access log that follows is not needed. */
static void end_hooked(struct prefork_request *request, struct wsgi_hooked *hooked)
{
	if (hooked == NULL)
		return;
	wsgi_request_hooks_after(request, hooked);
	if (wsgi_has_access)
		prefork_request_set_user(request, (void *)(uintptr_t)&wsgi_access_was_logged);
}

/* Returns what end_hooked() takes. */
static struct wsgi_hooked *finish_kept(struct exchange *exchange)
{
	struct wsgi_hooked *const hooked = exchange->hooked;

	prefork_request_set_user(exchange->request, NULL);
	Py_CLEAR(exchange->piece);
	finish(exchange);
	PyMem_Free(exchange);
	return hooked;
}

/* Called by the library when the socket is writable. The bytes returned stay valid until the next call. */
static ptrdiff_t pull(struct prefork_request *request, const void **ret_bytes, void *user)
{
	struct exchange *exchange = user;
	struct wsgi_hooked *hooked = NULL;
	int more = 1;
	Py_ssize_t size = 0;

	if (!exchange->pending) {
		if (!wsgi_gil_take())
			return -ENOMEM;
		(void)PyContext_Enter(exchange->context);
		more = next_piece(exchange);
		exchange->sent = 0;
		if (more < 0)
			(void)fail(exchange);
		size = exchange->error;
		if (more <= 0)
			hooked = finish_kept(exchange);
		else
			exit_context(exchange);
		wsgi_gil_release();
	}
	end_hooked(request, hooked);
	if (more <= 0)
		return size;
	*ret_bytes = PyBytes_AS_STRING(exchange->piece) + exchange->sent;
	size = PyBytes_GET_SIZE(exchange->piece) - exchange->sent;
	size = size < SLICE_MAX ? size : SLICE_MAX;
	exchange->sent += size;
	exchange->pending = exchange->sent < PyBytes_GET_SIZE(exchange->piece);
	return size;
}

/* The GIL is not held. Takes `piece`. `is_last`: the handler returns immediately. */
static int send_whole(struct prefork_request *request, PyObject *piece, bool is_last)
{
	const size_t size = (size_t)PyBytes_GET_SIZE(piece);
	int r;

	if (size <= DEFERRED_MAX && is_last) {
		r = prefork_response_last(request, PyBytes_AS_STRING(piece), size);
		wsgi_drop_later(piece);
		return r;
	}
	r = prefork_response_bytes(request, PyBytes_AS_STRING(piece), size); /* sent before this thread waits for the GIL */
	if (wsgi_gil_take()) {
		Py_DECREF(piece);
		wsgi_gil_release();
	}
	return r;
}

/* Copy the exchange to the heap, since it outlives the handler. Without memory: NULL, and `*next` is NEXT_FAIL. */
static struct exchange *keep(struct exchange *exchange, enum next *next)
{
	struct exchange *kept = PyMem_Malloc(sizeof *kept);

	if (kept) {
		exit_context(exchange);
		*kept = *exchange;
		prefork_request_set_user(exchange->request, kept);
		return kept;
	}
	(void)PyErr_NoMemory();
	*next = fail(exchange);
	Py_CLEAR(exchange->piece);
	finish(exchange);
	return NULL;
}

/* What remains to be done after the application has returned, without the GIL. */
static int send_rest(struct exchange *exchange, struct exchange *kept, enum next next)
{
	struct prefork_request *const request = exchange->request;

	if (next == NEXT_SEND_WHOLE)
		return send_whole(request, exchange->piece, exchange->hooked == NULL);
	if (next == NEXT_SEND_FILE)
		return prefork_response_file(request, exchange->fd, exchange->offset, exchange->size);
	if (next == NEXT_PULL)
		return prefork_response_pull(request, pull, kept);
	return exchange->error;
}

int wsgi_request_handle(struct prefork_request *request, const struct wsgi_application *application)
{
	struct exchange exchange = { .application = application, .request = request }, *kept = NULL;
	enum next next;
	int r;

	if (!wsgi_gil_take())
		return -ENOMEM;
	next = run(&exchange);
	if (next == NEXT_SEND_FILE || next == NEXT_PULL)
		kept = keep(&exchange, &next);
	else
		finish(&exchange);
	if (next == NEXT_FAIL || next == NEXT_DONE)
		Py_CLEAR(exchange.piece);
	wsgi_gil_release();
	r = send_rest(&exchange, kept, next);
	wsgi_drop_thrown();
	if (kept == NULL)
		end_hooked(request, exchange.hooked);
	return r;
}

void wsgi_request_finished(struct prefork_request *request)
{
	struct exchange *exchange = prefork_request_user(request);
	struct wsgi_hooked *hooked;

	if (exchange == NULL || (const void *)exchange == &wsgi_access_was_logged || !wsgi_gil_take())
		return;
	(void)PyContext_Enter(exchange->context);
	hooked = finish_kept(exchange);
	wsgi_gil_release();
	end_hooked(request, hooked);
}
