/* Makes the objects of pre_request and post_request, and of the access() of a logger, and calls them. */
#include "request_hooks.h"
#include "failure.h"
#include "forked_children.h"
#include "interpreter.h"
#include "python_modules.h"
#include "start.h"

#include <prefork/http.h>
#include <prefork/worker.h>

#include <ctype.h>
#include <stdint.h>
#include <time.h>

bool wsgi_has_pre_request, wsgi_has_post_request, wsgi_has_access;
const char wsgi_access_was_logged;

/* The objects of one request. */
struct wsgi_hooked {
	PyObject *object;  /* req */
	PyObject *environ; /* NULL: pre_request has failed */
	PyObject *status, *headers; /* of start_response; NULL: it was not called */
	int64_t began_us;
};

static const char module[] = "prefork_wsgi.requests";

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ("HOST", "example.org") */
static PyObject *field(struct prefork_request *request, size_t index)
{
	const char *name;
	size_t name_size, size;
	const char *value = prefork_request_header_at(request, index, &name, &name_size, &size);
	PyObject *upper = PyUnicode_DecodeLatin1(name, (Py_ssize_t)name_size, NULL);
	PyObject *text = upper ? PyUnicode_DecodeLatin1(value, (Py_ssize_t)size, NULL) : NULL;
	PyObject *pair;

	for (size_t i = 0; upper && i < name_size; i++)
		PyUnicode_WRITE(PyUnicode_1BYTE_KIND, PyUnicode_DATA(upper), (Py_ssize_t)i, (Py_UCS1)toupper((unsigned char)name[i]));
	pair = text ? PyTuple_Pack(2, upper, text) : NULL;
	Py_XDECREF(text);
	Py_XDECREF(upper);
	return pair;
}

static PyObject *fields(struct prefork_request *request)
{
	const size_t count = prefork_request_header_count(request);
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < count; i++) {
		PyObject *pair = field(request, i);

		if (pair == NULL || PyList_Append(list, pair) < 0)
			Py_CLEAR(list);
		Py_XDECREF(pair);
	}
	return list;
}

static PyObject *text(const char *bytes, size_t size)
{
	return PyUnicode_DecodeLatin1(bytes ? bytes : "", bytes ? (Py_ssize_t)size : 0, NULL);
}

static PyObject *make_object(struct prefork_request *request)
{
	size_t method_size, target_size, path_size, query_size = 0;
	unsigned port = 0;
	const char *const method = prefork_request_method(request, &method_size);
	const char *const target = prefork_request_target(request, &target_size);
	const char *const path = prefork_request_path(request, &path_size);
	const char *const query = prefork_request_query(request, &query_size);
	const char *const peer = prefork_request_peer(request, &port);

	return wsgi_python_call(module, "begin", "(NNNNIssIN)", text(method, method_size), text(target, target_size),
	                        text(path, path_size), text(query, query_size), prefork_request_minor_version(request),
	                        prefork_request_scheme(request), peer, port, fields(request));
}

int wsgi_request_hooks_before(struct prefork_request *request, PyObject *environ, struct wsgi_hooked **ret)
{
	struct wsgi_hooked *hooked = PyMem_Calloc(1, sizeof *hooked);
	PyObject *none = NULL;

	*ret = hooked;
	if (hooked == NULL) {
		(void)PyErr_NoMemory();
		return -1;
	}
	hooked->began_us = now_us();
	hooked->object = make_object(request);
	if (hooked->object && wsgi_has_pre_request)
		none = wsgi_python_call(module, "pre_request", "(OO)", hooked->object, environ);
	else if (hooked->object)
		none = Py_NewRef(Py_None);
	wsgi_forked_child_stop();
	if (none)
		hooked->environ = Py_NewRef(environ);
	Py_XDECREF(none);
	return none ? 0 : -1;
}

void wsgi_request_hooks_note(struct wsgi_hooked *hooked, PyObject *start)
{
	hooked->status = Py_XNewRef(wsgi_start_status(start));
	hooked->headers = Py_XNewRef(wsgi_start_headers(start));
}

/* These take the exception that is set. As with gunicorn, the response stays as it is. */

static void report(void)
{
	char line[512];
	PyObject *const trace = wsgi_failure_take(line, sizeof line);

	wsgi_failure_log(trace, "hook_failed", "The hook %s has failed: %s", "post_request", line);
}

static void report_access(void)
{
	char line[512];
	PyObject *const trace = wsgi_failure_take(line, sizeof line);

	wsgi_failure_log(trace, "python_access_failed", "The logger's access() has failed: %s", line);
}

static PyObject *or_none(PyObject *object)
{
	return object ? object : Py_None;
}

static void call_post_request(struct prefork_request *request, struct wsgi_hooked *hooked)
{
	PyObject *alive = wsgi_python_call(module, "post_request", "(OOOOL)", hooked->object, or_none(hooked->environ),
	                                   or_none(hooked->status), or_none(hooked->headers),
	                                   (long long)prefork_response_sent(request));

	wsgi_forked_child_stop();
	if (alive == NULL)
		report();
	else if (alive == Py_False)
		prefork_worker_retire(prefork_request_worker(request));
	Py_XDECREF(alive);
}

/* If the response has not begun, it is the server's, which follows. */
static void call_access(struct prefork_request *request, const struct wsgi_hooked *hooked)
{
	const bool begun = prefork_response_begun(request) && hooked->status;
	PyObject *status = begun ? Py_NewRef(hooked->status) : PyUnicode_FromString("500 Internal Server Error"), *none = NULL;

	if (status)
		none = wsgi_python_call(module, "access", "(OOOOLL)", hooked->object, or_none(hooked->environ), status,
		                        begun ? hooked->headers : Py_None, (long long)prefork_response_sent(request),
		                        (long long)(now_us() - hooked->began_us));
	wsgi_forked_child_stop();
	if (none == NULL)
		report_access();
	Py_XDECREF(none);
	Py_XDECREF(status);
}

void wsgi_request_hooks_after(struct prefork_request *request, struct wsgi_hooked *hooked)
{
	if (hooked == NULL || !wsgi_gil_take())
		return;
	if (hooked->object && wsgi_has_access)
		call_access(request, hooked);
	if (hooked->object && wsgi_has_post_request)
		call_post_request(request, hooked);
	Py_XDECREF(hooked->headers);
	Py_XDECREF(hooked->status);
	Py_XDECREF(hooked->environ);
	Py_XDECREF(hooked->object);
	PyMem_Free(hooked);
	wsgi_gil_release();
}
