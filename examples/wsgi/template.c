/* Keeps the environ of the previous request of a listener, and replaces only what differs in the next one. */
#include "template.h"
#include "file.h"
#include "header_names.h"

#include <prefork/http.h>
#include <prefork/version.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ON_STACK = 1024 };

/* Takes `value`. */
static int set(PyObject *dict, PyObject *key, PyObject *value)
{
	const int r = value ? PyDict_SetItem(dict, key, value) : -1;

	Py_XDECREF(value);
	return r;
}

/* SERVER_NAME and SERVER_PORT from "127.0.0.1:8000", "[::1]:8000", "example.org"; `port` is the default. */
static int set_server(PyObject *dict, const char *address, size_t size, const char *port)
{
	const char *end = address + size;
	const char *colon = memrchr(address, ':', size);
	const char *bracket = memrchr(address, ']', size);
	const char *name_end = colon && (bracket == NULL || bracket < colon) ? colon : end;
	const bool is_ip6 = *address == '[' && bracket && bracket + 1 == name_end;
	const char *name = is_ip6 ? address + 1 : address;
	PyObject *port_text = name_end < end - 1 ? PyUnicode_DecodeLatin1(name_end + 1, end - name_end - 1, NULL)
	                                         : PyUnicode_FromString(port);

	if (set(dict, wsgi_keys.server_port, port_text) < 0)
		return -1;
	return set(dict, wsgi_keys.server_name,
	           PyUnicode_DecodeLatin1(name, (is_ip6 ? bracket : name_end) - name, NULL));
}

/* Insert the keys that every request sets, so that copies need no insertion. Two further keys, deleted again, make the
 * table grow once, to a size in which the headers of most requests fit. With few deleted entries PyDict_Copy() copies
 * the table instead of inserting each key. */
static int reserve(PyObject *dict)
{
	int r = PyDict_SetItem(dict, wsgi_keys.input, Py_None);

	if (r < 0 || PyDict_SetItem(dict, wsgi_keys.early_hints, Py_None) < 0 ||
	    PyDict_SetItem(dict, wsgi_keys.close, Py_None) < 0 || PyDict_SetItem(dict, wsgi_keys.read, Py_None) < 0 ||
	    PyDict_DelItem(dict, wsgi_keys.close) < 0)
		return -1;
	return PyDict_DelItem(dict, wsgi_keys.read);
}

static int set_constants(const struct wsgi_template *self, const struct wsgi_template_config *place)
{
	PyObject *const dict = self->environ;
	const char *const address = self->is_unix ? "localhost" : place->address;

	if (dict == NULL || set_server(dict, address, strlen(address), "80") < 0 ||
	    set(dict, wsgi_keys.script_name, PyUnicode_DecodeLatin1(self->mount, (Py_ssize_t)self->mount_size, NULL)) < 0 ||
	    set(dict, wsgi_keys.version, Py_BuildValue("(ii)", 1, 0)) < 0 ||
	    set(dict, wsgi_keys.server_software, PyUnicode_FromFormat("prefork/%s", prefork_version())) < 0 ||
	    set(dict, wsgi_keys.errors, Py_NewRef(place->errors)) < 0 ||
	    set(dict, wsgi_keys.multithread, PyBool_FromLong(place->multithread)) < 0 ||
	    set(dict, wsgi_keys.multiprocess, PyBool_FromLong(place->multiprocess)) < 0 ||
	    set(dict, wsgi_keys.run_once, PyBool_FromLong(0)) < 0 ||
	    set(dict, wsgi_keys.input_terminated, PyBool_FromLong(1)) < 0)
		return -1;
	return set(dict, wsgi_keys.file_wrapper, Py_NewRef(wsgi_file_type()));
}

/* Initial values of the parts that depend on the request. */
static int set_parts(struct wsgi_template *self)
{
	static PyObject **const keys[WSGI_PARTS] = {
		[WSGI_METHOD] = &wsgi_keys.request_method, [WSGI_TARGET] = &wsgi_keys.raw_uri,
		[WSGI_PATH] = &wsgi_keys.path_info,        [WSGI_QUERY] = &wsgi_keys.query_string,
		[WSGI_SCHEME] = &wsgi_keys.url_scheme,     [WSGI_PEER] = &wsgi_keys.remote_addr,
		[WSGI_PORT] = &wsgi_keys.remote_port,      [WSGI_PROTOCOL] = &wsgi_keys.server_protocol,
	};

	self->port = self->minor = UINT32_MAX;
	for (int i = 0; i < WSGI_PARTS; i++) {
		self->keys[i] = i == WSGI_HOST ? wsgi_keys.http_host : *keys[i];
		if (i != WSGI_HOST && PyDict_SetItem(self->environ, self->keys[i], wsgi_keys.empty) < 0)
			return -1;
		self->parts[i] = i == WSGI_HOST ? NULL : wsgi_keys.empty;
	}
	return 0;
}

struct wsgi_template *wsgi_template_create(const struct wsgi_template_config *place)
{
	struct wsgi_template *self = PyMem_Calloc(1, sizeof *self);

	if (self == NULL)
		return NULL;
	self->is_unix = strncmp(place->address, "unix:", 5) == 0;
	self->environ = PyDict_New();
	self->mount = strdup(place->script_name);
	self->mount_size = self->mount ? strlen(self->mount) : 0;
	while (self->mount_size > 0 && self->mount[self->mount_size - 1] == '/')
		self->mount_size--;
	if (self->mount == NULL)
		(void)PyErr_NoMemory();
	if (self->mount == NULL || set_constants(self, place) < 0 || set_parts(self) < 0 ||
	    reserve(self->environ) < 0) {
		wsgi_template_destroy(self);
		return NULL;
	}
	return self;
}

void wsgi_template_destroy(struct wsgi_template *self)
{
	if (self == NULL)
		return;
	Py_XDECREF(self->environ);
	free(self->mount);
	PyMem_Free(self);
}

/* Returns 1; -1 with an exception set. Not inlined: most parts are those of the previous request. */
__attribute__((noinline)) static int replace(struct wsgi_template *self, enum wsgi_part part, const char *bytes,
                                             size_t size)
{
	PyObject *text = PyUnicode_DecodeLatin1(bytes, (Py_ssize_t)size, NULL);

	if (set(self->environ, self->keys[part], text) < 0)
		return -1;
	self->parts[part] = text; /* the dict owns it */
	return 1;
}

/* Set a part of the template if it has changed. Returns 1 if so, else 0; -1 with an exception set. */
static inline int refresh(struct wsgi_template *self, enum wsgi_part part, const char *bytes, size_t size)
{
	PyObject *const text = self->parts[part];

	if (text && (size_t)PyUnicode_GET_LENGTH(text) == size && memcmp(PyUnicode_1BYTE_DATA(text), bytes, size) == 0)
		return 0;
	return replace(self, part, bytes, size);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decode once; invalid escapes stay unchanged. Returns the size. */
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

/* `path` is decoded. Returns as wsgi_template_fill(). */
static int refresh_path(struct wsgi_template *self, const char *path, size_t size)
{
	const size_t mount = self->mount_size;

	if (mount > 0 && (size < mount || memcmp(path, self->mount, mount) != 0 || (size > mount && path[mount] != '/')))
		return 1;
	return refresh(self, WSGI_PATH, path + mount, size - mount) < 0 ? -1 : 0;
}

static int fill_path(struct wsgi_template *self, struct prefork_request *request)
{
	char on_stack[PATH_ON_STACK];
	size_t size;
	const char *path = prefork_request_path(request, &size);
	char *decoded = on_stack;
	int r;

	if (memchr(path, '%', size) == NULL)
		return refresh_path(self, path, size);
	if (size > sizeof on_stack && (decoded = PyMem_Malloc(size)) == NULL) {
		(void)PyErr_NoMemory();
		return -1;
	}
	r = refresh_path(self, decoded, decode(decoded, path, size));
	if (decoded != on_stack)
		PyMem_Free(decoded);
	return r;
}

static int fill_line(struct wsgi_template *self, struct prefork_request *request)
{
	const unsigned minor = prefork_request_minor_version(request);
	size_t method_size, size, query_size = 0;
	const char *method = prefork_request_method(request, &method_size);
	const char *target = prefork_request_target(request, &size);
	const char *query = prefork_request_query(request, &query_size);
	char protocol[24];
	int r;

	if (refresh(self, WSGI_METHOD, method, method_size) < 0 || refresh(self, WSGI_TARGET, target, size) < 0 ||
	    refresh(self, WSGI_QUERY, query ? query : "", query_size) < 0)
		return -1;
	if (minor == self->minor)
		return 0;
	r = refresh(self, WSGI_PROTOCOL, protocol, (size_t)snprintf(protocol, sizeof protocol, "HTTP/1.%u", minor));
	self->minor = r < 0 ? UINT32_MAX : minor;
	return r;
}

static int fill_client(struct wsgi_template *self, struct prefork_request *request)
{
	const char *scheme = prefork_request_scheme(request);
	char digits[10];
	size_t at = sizeof digits;
	unsigned port = 0, rest;
	const char *peer = prefork_request_peer(request, &port);
	int r;

	if (refresh(self, WSGI_SCHEME, scheme, strlen(scheme)) < 0 || refresh(self, WSGI_PEER, peer, strlen(peer)) < 0)
		return -1;
	if (port == self->port)
		return 0;
	rest = port;
	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	r = refresh(self, WSGI_PORT, digits + at, sizeof digits - at);
	self->port = r < 0 ? UINT32_MAX : port;
	return r;
}

/* Returns 1 if the field has changed, else 0; -1 with an exception set. */
static int refresh_host(struct wsgi_template *self, const char *host, size_t size)
{
	if (host)
		return refresh(self, WSGI_HOST, host, size);
	if (self->parts[WSGI_HOST] == NULL)
		return 0;
	self->parts[WSGI_HOST] = NULL;
	return PyDict_DelItem(self->environ, wsgi_keys.http_host) < 0 ? -1 : 1;
}

static int fill_host(struct wsgi_template *self, struct prefork_request *request)
{
	size_t size = 0;
	const char *host = prefork_request_header(request, "Host", &size);
	const int changed = refresh_host(self, host, size);

	if (changed < 0)
		return -1;
	if (!self->is_unix)
		return 0;
	const bool is_secure = strcmp(prefork_request_scheme(request), "https") == 0;
	if (changed == 0 && is_secure == self->is_secure)
		return 0;
	self->is_secure = is_secure;
	if (size == 0)
		host = "localhost";
	return set_server(self->environ, host, strlen(host), is_secure ? "443" : "80");
}

int wsgi_template_fill(struct wsgi_template *self, struct prefork_request *request)
{
	if (fill_line(self, request) < 0 || fill_client(self, request) < 0 || fill_host(self, request) < 0)
		return -1;
	return fill_path(self, request);
}
