#include "response_headers.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/log.h>

#include <errno.h>
#include <stdbool.h>
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

static struct prefork_log *log_of_worker;
static bool has_warned;

void wsgi_fields_prepare(struct prefork_log *log)
{
	log_of_worker = log;
	has_warned = false;
}

PyObject *wsgi_bytes(PyObject *piece)
{
	if (PyBytes_Check(piece))
		return Py_NewRef(piece);
	if (PyByteArray_Check(piece) || PyMemoryView_Check(piece))
		return PyBytes_FromObject(piece);
	return PyErr_Format(PyExc_TypeError, "the body is made of bytes, not of %.100s", Py_TYPE(piece)->tp_name);
}

static int64_t number_of(const char *digits, size_t size)
{
	int64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number * 10 + (digits[i] - '0');
	return number;
}

/* PEP 3333 forbids an application to send fields about the connection, but recipes do (Connection: keep-alive for
 * event streams). They are not for it to decide, so nothing is lost without them. */
static void warn_of_hop(const char *name, size_t size)
{
	if (has_warned)
		return;
	has_warned = true;
	prefork_log_printf(log_of_worker, PREFORK_LOG_WARNING, "wsgi",
	                "The application sets the header %.*s, which is about the connection and the server's to set: "
	                "dropped, as all such headers are from now on without a line", (int)size, name);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int add_bytes(struct prefork_request *request, const char *name, size_t name_size, const char *value,
                     size_t value_size, int64_t *length)
{
	const bool is_length = name_size == 14 && strncasecmp(name, "Content-Length", 14) == 0;
	int r;

	for (; is_length && value_size > 0 && is_blank(*value); value_size--)
		value++;
	while (is_length && value_size > 0 && is_blank(value[value_size - 1]))
		value_size--;
	r = prefork_response_header(request, name, name_size, value, value_size);
	if (r == -EPERM)
		warn_of_hop(name, name_size);
	else if (r < 0)
		return wsgi_refuse(r);
	else if (is_length)
		*length = number_of(value, value_size); /* it is one that fits: the library took it */
	return 0;
}

/* A pair, as a tuple or as a list. */
static int add_field(struct prefork_request *request, PyObject *field, int64_t *length)
{
	const char *name, *value;
	size_t name_size, value_size;

	if ((!PyTuple_Check(field) && !PyList_Check(field)) || PySequence_Fast_GET_SIZE(field) != 2) {
		PyErr_Format(PyExc_TypeError, "a header must be a tuple of name and value, not %R", field);
		return -1;
	}
	name = wsgi_latin1(PySequence_Fast_GET_ITEM(field, 0), "a header's name", &name_size);
	value = name ? wsgi_latin1(PySequence_Fast_GET_ITEM(field, 1), "a header's value", &value_size) : NULL;
	return value ? add_bytes(request, name, name_size, value, value_size, length) : -1;
}

int wsgi_fields_add(struct prefork_request *request, PyObject *fields, int64_t *length)
{
	PyObject *list = PySequence_Fast(fields, "the headers must be a list of tuples of name and value");
	int r = list ? 0 : -1;

	*length = -1;
	for (Py_ssize_t i = 0; r == 0 && i < PySequence_Fast_GET_SIZE(list); i++)
		r = add_field(request, PySequence_Fast_GET_ITEM(list, i), length);
	Py_XDECREF(list);
	return r;
}
