/* The stream wsgi.errors. Whole lines are written to the error log; a partial line waits for its end or for the end
 * of the request. */
#include "errors.h"

#include <prefork/log.h>

#include <string.h>

enum { LINES_MAX = 4094 }; /* the limit of prefork_log_put(): with a newline below PIPE_BUF, so that writes to a pipe are atomic */

/* Text without a newline is buffered: print() writes the text and the newline separately. */
struct errors {
	PyObject_HEAD
	struct prefork_log *log;
	PyObject *partial; /* bytes, or NULL */
};

static struct errors *unfinished; /* the stream with a partial line; borrowed */

/* Length of the first part of `text` that fits into one write to the log: up to the last newline or, without one, up
 * to a character boundary of UTF-8. */
static size_t cut(const char *text, size_t size, size_t *ret_skip)
{
	const char *newline = size > LINES_MAX ? memrchr(text, '\n', LINES_MAX) : NULL;
	size_t length = size > LINES_MAX ? LINES_MAX : size;

	*ret_skip = newline != NULL;
	if (newline)
		return (size_t)(newline - text);
	while (length < size && length > 1 && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	return length;
}

/* Log `text` unchanged and a newline, in one write if it fits, so that lines of other processes do not interleave. */
static void log_lines(struct errors *errors, const char *text, size_t size)
{
	size_t length, skip;

	if (errors->log == NULL)
		return;
	do {
		length = cut(text, size, &skip);
		(void)prefork_log_put(errors->log, text, length); /* the log counts lost lines, and records the count */
		text += length + skip;
		size -= length + skip;
	} while (size > 0);
}

static int put(struct errors *errors, PyObject *text)
{
	PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
	const char *start, *last;
	Py_ssize_t size;

	if (bytes == NULL)
		return -1;
	if (errors->partial)
		PyBytes_ConcatAndDel(&errors->partial, bytes);
	else
		errors->partial = bytes;
	if (errors->partial == NULL)
		return -1;
	start = PyBytes_AS_STRING(errors->partial);
	size = PyBytes_GET_SIZE(errors->partial);
	last = memrchr(start, '\n', (size_t)size);
	if (last == NULL) {
		unfinished = errors;
		return 0;
	}
	bytes = errors->partial;
	errors->partial = last + 1 == start + size ? NULL
	                                           : PyBytes_FromStringAndSize(last + 1, start + size - last - 1);
	if (errors->partial)
		unfinished = errors;
	log_lines(errors, start, (size_t)(last - start));
	Py_DECREF(bytes);
	return 0;
}

static PyObject *errors_write(PyObject *self, PyObject *text)
{
	if (!PyUnicode_Check(text))
		return PyErr_Format(PyExc_TypeError, "write() takes str, not %.100s", Py_TYPE(text)->tp_name);
	if (put((struct errors *)self, text) < 0)
		return NULL;
	return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *errors_writelines(PyObject *self, PyObject *lines)
{
	PyObject *iterator = PyObject_GetIter(lines), *line;

	if (iterator == NULL)
		return NULL;
	while ((line = PyIter_Next(iterator))) {
		PyObject *length = errors_write(self, line);

		Py_DECREF(line);
		if (length == NULL)
			break;
		Py_DECREF(length);
	}
	Py_DECREF(iterator);
	if (PyErr_Occurred())
		return NULL;
	Py_RETURN_NONE;
}

static void finish_line(struct errors *errors)
{
	PyObject *partial = errors->partial;

	errors->partial = NULL;
	if (partial)
		log_lines(errors, PyBytes_AS_STRING(partial), (size_t)PyBytes_GET_SIZE(partial));
	Py_XDECREF(partial);
}

static PyObject *errors_flush(PyObject *self, PyObject *nothing)
{
	(void)nothing;
	finish_line((struct errors *)self);
	Py_RETURN_NONE;
}

void wsgi_errors_set_log(PyObject *stream, struct prefork_log *log)
{
	((struct errors *)stream)->log = log;
}

void wsgi_errors_finish_line(void)
{
	if (unfinished)
		finish_line(unfinished);
	unfinished = NULL;
}

static void errors_free(PyObject *self)
{
	struct errors *errors = (struct errors *)self;

	if (unfinished == errors)
		unfinished = NULL;
	Py_XDECREF(errors->partial);
	PyObject_Free(self);
}

static PyMethodDef methods[] = {
	{ "write", errors_write, METH_O, "write(str) -> int" },
	{ "writelines", errors_writelines, METH_O, "writelines(iterable of str)" },
	{ "flush", errors_flush, METH_NOARGS, "flush()" },
	{ NULL, NULL, 0, NULL },
};

static PyTypeObject type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "prefork.Errors",
	.tp_basicsize = sizeof(struct errors),
	.tp_dealloc = errors_free,
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_doc = "The error log, a stream for writing.",
	.tp_methods = methods,
};

int wsgi_errors_prepare(void)
{
	return PyType_Ready(&type);
}

PyObject *wsgi_errors_create(struct prefork_log *log)
{
	struct errors *errors = PyObject_New(struct errors, &type);

	if (errors == NULL)
		return NULL;
	errors->log = log;
	errors->partial = NULL;
	return (PyObject *)errors;
}
