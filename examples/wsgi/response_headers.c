/* Passes status and header fields from Python to the library. Hop-by-hop fields are dropped with one warning per
 * worker. */
#include "response_headers.h"
#include "wsgi_log.h"

#include <prefork/error.h>
#include <prefork/http.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

int wsgi_refuse(int error)
{
	if (error == -EINVAL || error == -EPERM || error == -E2BIG) {
		PyErr_SetString(PyExc_ValueError, prefork_error());
	} else {
		errno = -error;
		(void)PyErr_SetFromErrno(PyExc_OSError);
	}
	return -1;
}

const char *wsgi_latin1(PyObject *text, const char *what, size_t *ret_size)
{
	if (!PyUnicode_Check(text)) {
		PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", what, Py_TYPE(text)->tp_name);
		return NULL;
	}
	if (PyUnicode_READY(text) < 0)
		return NULL;
	if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
		PyErr_Format(PyExc_ValueError, "%s has characters beyond latin-1: %R", what, text);
		return NULL;
	}
	*ret_size = (size_t)PyUnicode_GET_LENGTH(text);
	return (const char *)PyUnicode_1BYTE_DATA(text);
}

static bool logged_hop_by_hop;

void wsgi_response_headers_prepare(void)
{
	logged_hop_by_hop = false;
}

PyObject *wsgi_bytes(PyObject *piece)
{
	if (PyBytes_Check(piece))
		return Py_NewRef(piece);
	if (PyByteArray_Check(piece) || PyMemoryView_Check(piece))
		return PyBytes_FromObject(piece);
	return PyErr_Format(PyExc_TypeError, "the body must consist of bytes, not %.100s", Py_TYPE(piece)->tp_name);
}

static int64_t number_of(const char *digits, size_t size)
{
	int64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number * 10 + (digits[i] - '0');
	return number;
}

/* PEP 3333 forbids applications to set hop-by-hop fields (RFC 9110 7.6.1), but published recipes do (Connection:
 * keep-alive for event streams). The server sets them, so dropping them loses nothing. */
static void warn_hop_by_hop(const char *name, size_t size)
{
	if (logged_hop_by_hop)
		return;
	logged_hop_by_hop = true;
	wsgi_log(PREFORK_LOG_WARNING, "header_dropped",
	         "The application sets the header %.*s, which is hop-by-hop and set by the server; dropped "
	         "(logged once per worker)", (int)size, name);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Most applications write it like this: memcmp of a constant size is two comparisons, strncasecmp a call. */
static bool is_content_length(const char *name, size_t size)
{
	return size == 14 && (memcmp(name, "Content-Length", 14) == 0 || strncasecmp(name, "Content-Length", 14) == 0);
}

static int add_bytes(struct prefork_request *request, const char *name, size_t name_size, const char *value,
                     size_t value_size, int64_t *length)
{
	const bool is_length = is_content_length(name, name_size);
	int r;

	for (; is_length && value_size > 0 && is_blank(*value); value_size--)
		value++;
	while (is_length && value_size > 0 && is_blank(value[value_size - 1]))
		value_size--;
	r = prefork_response_header(request, name, name_size, value, value_size);
	if (r == -EPERM)
		warn_hop_by_hop(name, name_size);
	else if (r < 0)
		return wsgi_refuse(r);
	else if (is_length)
		*length = number_of(value, value_size); /* digits that fit: the library has accepted the value */
	return 0;
}

/* `field` is a pair: a tuple or a list. */
static int add_field(struct prefork_request *request, PyObject *field, int64_t *length)
{
	const char *name, *value;
	size_t name_size, value_size;

	if ((!PyTuple_Check(field) && !PyList_Check(field)) || PySequence_Fast_GET_SIZE(field) != 2) {
		PyErr_Format(PyExc_TypeError, "a header must be a tuple of name and value, not %R", field);
		return -1;
	}
	name = wsgi_latin1(PySequence_Fast_GET_ITEM(field, 0), "the name of a header", &name_size);
	value = name ? wsgi_latin1(PySequence_Fast_GET_ITEM(field, 1), "the value of a header", &value_size) : NULL;
	return value ? add_bytes(request, name, name_size, value, value_size, length) : -1;
}

int wsgi_response_headers_add(struct prefork_request *request, PyObject *fields, int64_t *length)
{
	PyObject *list = PySequence_Fast(fields, "the headers must be a list of tuples of name and value");
	int r = list ? 0 : -1;

	*length = -1;
	for (Py_ssize_t i = 0; r == 0 && i < PySequence_Fast_GET_SIZE(list); i++)
		r = add_field(request, PySequence_Fast_GET_ITEM(list, i), length);
	Py_XDECREF(list);
	return r;
}
