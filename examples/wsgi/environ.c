#include "environ.h"
#include "file.h"
#include "names.h"

#include <prefork/http.h>
#include <prefork/version.h>

#include <stdio.h>
#include <string.h>

enum { PATH_ON_STACK = 1024 };

static PyObject *last_target, *last_path, *last_query, *last_peer, *last_port;

/* Takes `value`. */
static int set(PyObject *dict, PyObject *key, PyObject *value)
{
	const int r = value ? PyDict_SetItem(dict, key, value) : -1;

	Py_XDECREF(value);
	return r;
}

/* "127.0.0.1:8000", "[::1]:8000"; a unix socket has neither name nor port of its own. */
static int set_server(PyObject *dict, const char *address)
{
	const char *colon = strrchr(address, ':');
	const bool bracket = *address == '[';
	size_t size = colon ? (size_t)(colon - address) : 0;

	if (colon == NULL || strncmp(address, "unix:", 5) == 0)
		return set(dict, wsgi_keys.server_name, PyUnicode_FromString("localhost")) < 0 ||
		       set(dict, wsgi_keys.server_port, PyUnicode_FromString("80")) < 0 ? -1 : 0;
	if (bracket && size >= 2) {
		address++;
		size -= 2;
	}
	if (set(dict, wsgi_keys.server_name, PyUnicode_DecodeLatin1(address, (Py_ssize_t)size, NULL)) < 0)
		return -1;
	return set(dict, wsgi_keys.server_port, PyUnicode_FromString(colon + 1));
}

/* The keys that every request sets: here already, so that a copy of the template has their places.
 * Two more make the dict grow, here and once, to where the headers of most requests fit as well;
 * with no more gaps than this PyDict_Copy() copies the table as it is. */
static int reserve(PyObject *dict)
{
	PyObject *const keys[] = {
		wsgi_keys.request_method, wsgi_keys.path_info,   wsgi_keys.query_string,
		wsgi_keys.raw_uri,        wsgi_keys.remote_addr, wsgi_keys.server_protocol,
		wsgi_keys.remote_port,    wsgi_keys.url_scheme,  wsgi_keys.input,
	};
	int r = 0;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0] && r == 0; i++)
		r = PyDict_SetItem(dict, keys[i], Py_None);
	if (r < 0 || PyDict_SetItem(dict, wsgi_keys.close, Py_None) < 0 ||
	    PyDict_SetItem(dict, wsgi_keys.read, Py_None) < 0 || PyDict_DelItem(dict, wsgi_keys.close) < 0)
		return -1;
	return PyDict_DelItem(dict, wsgi_keys.read);
}

PyObject *wsgi_environ_template(const struct wsgi_place *place)
{
	PyObject *dict = PyDict_New();

	if (dict == NULL || set_server(dict, place->address) < 0 ||
	    set(dict, wsgi_keys.version, Py_BuildValue("(ii)", 1, 0)) < 0 ||
	    set(dict, wsgi_keys.server_software, PyUnicode_FromFormat("prefork/%s", prefork_version())) < 0 ||
	    set(dict, wsgi_keys.script_name, PyUnicode_DecodeFSDefault(place->script_name)) < 0 ||
	    set(dict, wsgi_keys.errors, Py_NewRef(place->errors)) < 0 ||
	    set(dict, wsgi_keys.multithread, PyBool_FromLong(place->multithread)) < 0 ||
	    set(dict, wsgi_keys.multiprocess, PyBool_FromLong(place->multiprocess)) < 0 ||
	    set(dict, wsgi_keys.run_once, PyBool_FromLong(0)) < 0 ||
	    set(dict, wsgi_keys.input_terminated, PyBool_FromLong(1)) < 0 ||
	    set(dict, wsgi_keys.file_wrapper, Py_NewRef(wsgi_file_type())) < 0 || reserve(dict) < 0)
		Py_CLEAR(dict);
	return dict;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Once, and what is no escape stays as it is. Returns the size. */
static size_t decode(char *to, const char *from, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		const int high = from[i] == '%' && i + 2 < size ? hex(from[i + 1]) : -1;
		const int low = high >= 0 ? hex(from[i + 2]) : -1;

		to[n++] = low >= 0 ? (char)(high * 16 + low) : from[i];
		i += low >= 0 ? 2 : 0;
	}
	return n;
}

/* `path` without the SCRIPT_NAME in front of it; NULL if it is not there. */
static const char *below(PyObject *script_name, const char *path, size_t *size)
{
	Py_ssize_t length;
	const char *mount = PyUnicode_AsUTF8AndSize(script_name, &length);

	if (mount == NULL)
		return NULL;
	if (length == 0)
		return path;
	if (*size < (size_t)length || memcmp(path, mount, (size_t)length) != 0 ||
	    (*size > (size_t)length && path[length] != '/')) {
		PyErr_Format(PyExc_LookupError, "the path is not below SCRIPT_NAME %R", script_name);
		return NULL;
	}
	*size -= (size_t)length;
	return path + length;
}

static PyObject *path_info(PyObject *script_name, struct prefork_request *request)
{
	char on_stack[PATH_ON_STACK];
	size_t size;
	const char *path = prefork_request_path(request, &size);
	char *decoded = NULL;
	PyObject *text = NULL;

	if (memchr(path, '%', size)) {
		decoded = size <= sizeof on_stack ? on_stack : PyMem_Malloc(size);
		if (decoded == NULL)
			return PyErr_NoMemory();
		size = decode(decoded, path, size);
		path = decoded;
	}
	path = below(script_name, path, &size);
	if (path)
		text = wsgi_text(&last_path, path, size);
	if (decoded != on_stack)
		PyMem_Free(decoded);
	return text;
}

/* A field that came before: "a, b", and RFC 6265 says "; " for cookies. Takes `value`. */
static int join(PyObject *dict, PyObject *key, PyObject *before, PyObject *value)
{
	const char *between = key == wsgi_keys.http_cookie ? "%U; %U" : "%U, %U";
	PyObject *both = PyUnicode_FromFormat(between, before, value);

	Py_DECREF(value);
	return set(dict, key, both);
}

static int set_field(PyObject *dict, struct prefork_request *request, size_t index)
{
	struct wsgi_field spare, *field;
	const char *name;
	size_t name_size, size;
	const char *bytes = prefork_request_header_at(request, index, &name, &name_size, &size);
	PyObject *value, *there;
	int r = 0;

	field = wsgi_field_find(name, name_size, &spare);
	if (field == NULL)
		return -1;
	if (field->key == NULL)
		return 0;
	value = wsgi_text(&field->last, bytes, size);
	there = value ? PyDict_GetItemWithError(dict, field->key) : NULL; /* borrowed */
	if (there)
		r = join(dict, field->key, there, value);
	else if (value == NULL || PyErr_Occurred()) {
		Py_XDECREF(value);
		r = -1;
	} else {
		r = set(dict, field->key, value);
	}
	if (field == &spare) {
		Py_XDECREF(spare.key);
		Py_XDECREF(spare.last);
	}
	return r;
}

static PyObject *method_of(struct prefork_request *request)
{
	static PyObject *last;
	size_t size;
	const char *method = prefork_request_method(request, &size);

	return wsgi_text(&last, method, size);
}

static PyObject *protocol_of(const struct prefork_request *request)
{
	static PyObject *versions[2]; /* the only ones there are in practice */
	const unsigned minor = prefork_request_minor_version(request);
	PyObject **text = &versions[minor != 0];

	if (minor > 1)
		return PyUnicode_FromFormat("HTTP/1.%u", minor);
	if (*text == NULL)
		*text = PyUnicode_FromFormat("HTTP/1.%u", minor);
	return Py_XNewRef(*text);
}

static int set_request_line(PyObject *dict, struct prefork_request *request)
{
	size_t size, query_size = 0;
	const char *target = prefork_request_target(request, &size);
	const char *query = prefork_request_query(request, &query_size);

	if (set(dict, wsgi_keys.request_method, method_of(request)) < 0 ||
	    set(dict, wsgi_keys.raw_uri, wsgi_text(&last_target, target, size)) < 0 ||
	    set(dict, wsgi_keys.query_string, wsgi_text(&last_query, query ? query : "", query_size)) < 0 ||
	    set(dict, wsgi_keys.server_protocol, protocol_of(request)) < 0)
		return -1;
	return set(dict, wsgi_keys.path_info,
	           path_info(PyDict_GetItemWithError(dict, wsgi_keys.script_name), request));
}

static int set_peer(PyObject *dict, struct prefork_request *request)
{
	unsigned port = 0;
	const char *peer = prefork_request_peer(request, &port);
	char text[16];
	const int size = snprintf(text, sizeof text, "%u", port);

	if (set(dict, wsgi_keys.remote_addr, wsgi_text(&last_peer, peer, strlen(peer))) < 0)
		return -1;
	return set(dict, wsgi_keys.remote_port, wsgi_text(&last_port, text, (size_t)size));
}

static PyObject *scheme_of(const struct prefork_request *request)
{
	static PyObject *last;
	const char *scheme = prefork_request_scheme(request);

	return wsgi_text(&last, scheme, strlen(scheme));
}

PyObject *wsgi_environ_create(PyObject *template, struct prefork_request *request, PyObject *input)
{
	const size_t count = prefork_request_header_count(request);
	PyObject *dict = PyDict_Copy(template);

	if (dict == NULL || set_request_line(dict, request) < 0 || set_peer(dict, request) < 0 ||
	    set(dict, wsgi_keys.url_scheme, scheme_of(request)) < 0 ||
	    set(dict, wsgi_keys.input, Py_NewRef(input)) < 0)
		Py_CLEAR(dict);
	for (size_t i = 0; dict && i < count; i++) {
		if (set_field(dict, request, i) < 0)
			Py_CLEAR(dict);
	}
	return dict;
}
