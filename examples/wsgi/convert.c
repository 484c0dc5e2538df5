#include "convert.h"
#include "failure.h"
#include "interpreter.h"
#include "virtualenv.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>

static const char script[] =
#include "convert.py.inc"
	;

/* How many of its settings have no counterpart; -1 with an exception set. */
static long run(const char *path)
{
	PyObject *globals = PyDict_New();
	PyObject *done = NULL, *left = NULL;
	long count = -1;

	if (globals && PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) == 0)
		done = PyRun_String(script, Py_file_input, globals, globals);
	if (done)
		left = PyObject_CallFunction(PyDict_GetItemString(globals, "convert"), "s", path);
	if (left)
		count = PyLong_AsLong(left);
	Py_XDECREF(left);
	Py_XDECREF(done);
	Py_XDECREF(globals);
	return count;
}

/* Takes the exception that is set. */
static int tell_failure(const char *path)
{
	char line[512];
	PyObject *text = wsgi_failure_take(line, sizeof line);
	const char *traceback = text ? PyUnicode_AsUTF8(text) : NULL;
	const int r = prefork_fail(-EINVAL, "%s does not run:\n%s", path, traceback ? traceback : line);

	PyErr_Clear();
	Py_XDECREF(text);
	return r;
}

int wsgi_convert(const char *path, const char *program, const char *venv)
{
	char folder[PATH_MAX];
	int r = wsgi_virtualenv_find(venv, program, folder, sizeof folder);

	if (r == 0)
		r = wsgi_python_start(program, *folder ? folder : NULL);
	if (r < 0)
		return r;
	const long left = run(path);

	if (left < 0)
		r = tell_failure(path);
	else if (left > 0)
		r = prefork_fail(-EINVAL, "%s: %ld of its settings have no counterpart here; they are comments in "
		                                  "what was printed",
		                 path, left);
	wsgi_gil_release();
	return r;
}
