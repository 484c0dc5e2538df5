/* Converts the current Python exception to text: one line for messages, the traceback for the log. */
#include "failure.h"
#include "wsgi_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TITLE_MAX = 2048 };

/* The exception in one line. The last line of format_exception() would have no file and line number for a SyntaxError. */
static void describe(PyObject *type, PyObject *value, char *line, size_t size)
{
	PyObject *text = value ? PyObject_Str(value) : NULL;
	const char *bytes = text ? PyUnicode_AsUTF8(text) : NULL;
	const char *name = PyType_Check(type) ? ((PyTypeObject *)type)->tp_name : "exception";
	const char *last_dot = strrchr(name, '.');

	(void)snprintf(line, size, "%s%s%s", last_dot ? last_dot + 1 : name, bytes && *bytes ? ": " : "",
	               bytes ? bytes : "");
	for (char *c = line; *c != '\0'; c++) {
		if (*c == '\n' || *c == '\r')
			*c = ' ';
	}
	PyErr_Clear();
	Py_XDECREF(text);
}

static PyObject *format(PyObject *type, PyObject *value, PyObject *traceback)
{
	PyObject *module = PyImport_ImportModule("traceback");
	PyObject *lines = NULL, *empty = NULL, *text = NULL;

	if (module)
		lines = PyObject_CallMethod(module, "format_exception", "OOO", type, value ? value : Py_None,
		                            traceback ? traceback : Py_None);
	if (lines)
		empty = PyUnicode_FromString("");
	if (empty)
		text = PyUnicode_Join(empty, lines);
	PyErr_Clear();
	Py_XDECREF(empty);
	Py_XDECREF(lines);
	Py_XDECREF(module);
	return text;
}

int wsgi_failure_exit_status(void)
{
	PyObject *type, *value, *traceback, *code;
	int status = 1;

	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	code = value ? PyObject_GetAttrString(value, "code") : NULL;
	if (code == Py_None)
		status = 0;
	else if (code && PyLong_Check(code))
		status = (int)PyLong_AsLong(code);
	else if (code)
		PySys_FormatStderr("%S\n", code);
	PyErr_Clear();
	Py_XDECREF(code);
	PyErr_Restore(type, value, traceback);
	return status;
}

/* An exception may have what is not UTF-8 in its message: part of a file name, for example. */
void wsgi_failure_log(PyObject *text, const char *event, const char *format, ...)
{
	PyObject *const bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;
	char title[TITLE_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(title, sizeof title, format, arguments);
	va_end(arguments);
	wsgi_log_block(PREFORK_LOG_ERROR, event, bytes ? PyBytes_AS_STRING(bytes) : "",
	               bytes ? (size_t)PyBytes_GET_SIZE(bytes) : 0, "%s", title);
	PyErr_Clear(); /* there was no memory for the bytes */
	Py_XDECREF(bytes);
	Py_XDECREF(text);
}

PyObject *wsgi_failure_take(char *line, size_t size)
{
	PyObject *type, *value, *traceback, *text;

	PyErr_Fetch(&type, &value, &traceback);
	if (type == NULL) {
		(void)snprintf(line, size, "SystemError: error without an exception");
		return NULL;
	}
	PyErr_NormalizeException(&type, &value, &traceback);
	if (traceback)
		(void)PyException_SetTraceback(value, traceback);
	describe(type, value, line, size);
	text = format(type, value, traceback);
	Py_XDECREF(traceback);
	Py_XDECREF(value);
	Py_XDECREF(type);
	return text;
}
