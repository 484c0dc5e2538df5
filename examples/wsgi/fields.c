#include "fields.h"

#include <prefork/error.h>
#include <prefork/http.h>

#include <errno.h>
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

static int64_t number_of(const char *digits, size_t size)
{
	int64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number * 10 + (digits[i] - '0');
	return number;
}

static int add_field(struct prefork_request *request, PyObject *field, int64_t *length)
{
	const char *name, *value;
	size_t name_size, value_size;
	int r;

	if (!PyTuple_Check(field) || PyTuple_GET_SIZE(field) != 2) {
		PyErr_Format(PyExc_TypeError, "a header must be a tuple of name and value, not %R", field);
		return -1;
	}
	name = wsgi_latin1(PyTuple_GET_ITEM(field, 0), "a header's name", &name_size);
	value = name ? wsgi_latin1(PyTuple_GET_ITEM(field, 1), "a header's value", &value_size) : NULL;
	if (value == NULL)
		return -1;
	r = prefork_response_header(request, name, name_size, value, value_size);
	if (r < 0)
		return wsgi_refuse(r);
	if (name_size == 14 && strncasecmp(name, "Content-Length", 14) == 0)
		*length = number_of(value, value_size); /* it is one that fits: the library took it */
	return 0;
}

int wsgi_fields_add(struct prefork_request *request, PyObject *fields, int64_t *length)
{
	*length = -1;
	if (!PyList_Check(fields) && !PyTuple_Check(fields)) {
		PyErr_Format(PyExc_TypeError, "the headers must be a list, not %.100s", Py_TYPE(fields)->tp_name);
		return -1;
	}
	for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fields); i++) {
		if (add_field(request, PySequence_Fast_GET_ITEM(fields, i), length) < 0)
			return -1;
	}
	return 0;
}
