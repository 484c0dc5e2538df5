/* Makes the environ of a request: a copy of the listener's template, plus the other header fields. */
#include "environ.h"
#include "header_names.h"
#include "template.h"

#include <prefork/http.h>
#include <prefork/proxy.h>

#include <string.h>

int (*wsgi_environ_more)(PyObject *environ, struct prefork_request *request);

/* Repeated fields are joined by ", " (RFC 9110 5.3), cookies by "; " (RFC 6265 5.4). Takes `value`. */
static int join(PyObject *dict, PyObject *key, PyObject *first, PyObject *value)
{
	const char *format = key == wsgi_keys.http_cookie ? "%U; %U" : "%U, %U";
	PyObject *both = PyUnicode_FromFormat(format, first, value);
	int r;

	Py_DECREF(value);
	if (both == NULL)
		return -1;
	r = PyDict_SetItem(dict, key, both);
	Py_DECREF(both);
	return r;
}

/* Takes `value`, which may be NULL: an exception is set. */
static int add(PyObject *dict, PyObject *key, PyObject *value)
{
	const Py_ssize_t before = PyDict_GET_SIZE(dict);
	PyObject *there = value ? PyDict_SetDefault(dict, key, value) : NULL; /* borrowed */

	if (there && PyDict_GET_SIZE(dict) == before)
		return join(dict, key, there, value);
	Py_XDECREF(value);
	return there ? 0 : -1;
}

/* Takes `value`, which may be NULL: an exception is set. */
static int set(PyObject *dict, PyObject *key, PyObject *value)
{
	const int r = value ? PyDict_SetItem(dict, key, value) : -1;

	Py_XDECREF(value);
	return r;
}

/* A proxy has sent SCRIPT_NAME, which replaces that of the environment. Returns 1 if the path is not below it, else 0;
 * -1 with an exception set. */
static int move_mount(PyObject *dict, const char *mount, size_t size)
{
	PyObject *const before = PyDict_GetItem(dict, wsgi_keys.script_name); /* both borrowed */
	PyObject *const rest = PyDict_GetItem(dict, wsgi_keys.path_info);
	PyObject *path, *text;
	Py_ssize_t length;
	int r = -1; /* 1: the path is below the mount */

	while (size > 0 && mount[size - 1] == '/')
		size--;
	path = before && rest ? PyUnicode_Concat(before, rest) : NULL;
	text = path ? PyUnicode_DecodeLatin1(mount, (Py_ssize_t)size, NULL) : NULL;
	if (text)
		r = (int)PyUnicode_Tailmatch(path, text, 0, PY_SSIZE_T_MAX, -1);
	length = path ? PyUnicode_GET_LENGTH(path) : 0;
	if (r == 1 && length > (Py_ssize_t)size && PyUnicode_READ_CHAR(path, (Py_ssize_t)size) != '/')
		r = 0;
	if (r == 1 && (PyDict_SetItem(dict, wsgi_keys.script_name, text) < 0 ||
	               set(dict, wsgi_keys.path_info, PyUnicode_Substring(path, (Py_ssize_t)size, length)) < 0))
		r = -1;
	Py_XDECREF(text);
	Py_XDECREF(path);
	return r < 0 ? -1 : r == 0;
}

/* Returns as move_mount(). */
static int add_field(PyObject *dict, struct prefork_request *request, size_t index)
{
	struct wsgi_header_name spare, *field;
	const char *name;
	size_t name_size, size;
	const char *bytes = prefork_request_header_at(request, index, &name, &name_size, &size);
	int r = 0;

	field = wsgi_header_name_find(name, name_size, &spare);
	if (field == NULL)
		return -1;
	if (field->key == wsgi_keys.http_script_name && memchr(name, '_', name_size) != NULL)
		r = move_mount(dict, bytes, size);
	if (r == 0 && field->key != wsgi_keys.http_host) /* the template contains it */
		r = add(dict, field->key, wsgi_text(&field->last, bytes, size));
	if (field == &spare) {
		Py_XDECREF(spare.key);
		Py_XDECREF(spare.last);
	}
	return r;
}

/* As with gunicorn: the protocol, and the address that the client of the proxy connected to. */
static int add_proxy(PyObject *dict, struct prefork_request *request)
{
	unsigned port;
	const char *const address = prefork_connection_proxy_destination(prefork_request_connection(request), &port);

	if (address == NULL || *address == '\0')
		return 0;
	if (set(dict, wsgi_keys.proxy_protocol, PyUnicode_FromString(strchr(address, ':') ? "TCP6" : "TCP4")) < 0 ||
	    set(dict, wsgi_keys.proxy_addr, PyUnicode_FromString(address)) < 0)
		return -1;
	return set(dict, wsgi_keys.proxy_port, PyUnicode_FromFormat("%u", port));
}

/* A garbage collection could run application code, which may release the GIL: another thread would then change the
 * template before it is copied. */
static PyObject *filled_copy(struct wsgi_template *template, struct prefork_request *request)
{
	const int collects = PyGC_Disable();
	PyObject *dict = wsgi_template_fill(template, request) == 0 ? PyDict_Copy(template->environ) : NULL;

	if (collects)
		(void)PyGC_Enable();
	return dict;
}

PyObject *wsgi_environ_create(struct wsgi_template *template, struct prefork_request *request, PyObject *input,
                              PyObject *hints)
{
	const size_t count = prefork_request_header_count(request);
	PyObject *dict = filled_copy(template, request);

	if (dict && (PyDict_SetItem(dict, wsgi_keys.input, input) < 0 ||
	             PyDict_SetItem(dict, wsgi_keys.early_hints, hints) < 0))
		Py_CLEAR(dict);
	if (dict && add_proxy(dict, request) < 0)
		Py_CLEAR(dict);
	if (dict && wsgi_environ_more && wsgi_environ_more(dict, request) < 0)
		Py_CLEAR(dict);
	for (size_t i = 0; dict && i < count; i++) {
		if (add_field(dict, request, i) != 0)
			Py_CLEAR(dict);
	}
	return dict;
}
