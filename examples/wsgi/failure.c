/* Converts the current Python exception to text: one line for messages, the traceback for the log. */
#include "failure.h"

#include <stdio.h>
#include <string.h>

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
