/* Runs loggers.py, which makes the loggers gunicorn.error and gunicorn.access write to the error log. */
#include "loggers.h"
#include "errors.h"

#include <prefork/log.h>

static const char script[] =
#include "loggers.py.inc"
	;

static PyObject *globals; /* of the script; NULL before it has run */
static PyObject *stream;

/* Levels of the module logging: DEBUG is 10, CRITICAL 50. */
static int number_of(const char *level)
{
	const int index = prefork_log_level_of(level);

	return index < 0 ? 20 : (index + 1) * 10;
}

static int prepare(struct prefork_log *log, int level)
{
	PyObject *done = NULL, *none = NULL;

	globals = PyDict_New();
	stream = wsgi_errors_create(log);
	if (globals && stream && PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) == 0)
		done = PyRun_String(script, Py_file_input, globals, globals);
	if (done)
		none = PyObject_CallFunction(PyDict_GetItemString(globals, "prepare"), "Oi", stream, level);
	Py_XDECREF(done);
	Py_XDECREF(none);
	return none ? 0 : -1;
}

int wsgi_loggers_prepare(struct prefork_log *log, const char *level)
{
	PyObject *none;

	if (globals == NULL)
		return prepare(log, number_of(level));
	wsgi_errors_set_log(stream, log);
	none = PyObject_CallFunction(PyDict_GetItemString(globals, "follow"), "i", number_of(level));
	Py_XDECREF(none);
	return none ? 0 : -1;
}
