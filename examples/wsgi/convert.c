/* Runs prefork_wsgi.convert, which executes a gunicorn.conf.py and prints its settings as INI. */
#include "convert.h"
#include "failure.h"
#include "gunicorn.h"
#include "interpreter.h"
#include "python_modules.h"
#include "virtualenv.h"
#include "wsgi_options.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

/* accepts(name, text): None, or why the setting does not take the text. */
static PyObject *accepts(PyObject *self, PyObject *arguments)
{
	struct prefork_settings *settings = NULL;
	const char *name, *text, *why;
	int r;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "ss", &name, &text))
		return NULL;
	r = prefork_settings_create(&settings);
	if (r == 0)
		r = wsgi_options_add_rows(settings);
	if (r == 0 && *text != '\0')
		r = prefork_settings_set_default(settings, name, text);
	if (r < 0)
		r = wsgi_gunicorn_explain(r, settings);
	prefork_settings_destroy(settings);
	if (r >= 0)
		Py_RETURN_NONE;
	why = strstr(prefork_error(), ": "); /* after "the program's default for ..." */
	return PyUnicode_DecodeUTF8(why ? why + 2 : prefork_error(), (Py_ssize_t)strlen(why ? why + 2 : prefork_error()),
	                            "replace");
}

static PyMethodDef accepts_method = { "accepts", accepts, METH_VARARGS, NULL };

/* Returns the number of settings without a counterpart; -1 with an exception set. */
static long run(const char *path)
{
	PyObject *const function = PyCFunction_New(&accepts_method, NULL);
	PyObject *const left = function ? wsgi_python_call("prefork_wsgi.convert", "convert", "(sO)", path, function) : NULL;
	const long count = left ? PyLong_AsLong(left) : -1;

	Py_XDECREF(left);
	Py_XDECREF(function);
	return count;
}

/* Takes the exception that is set. */
static int fail_with_traceback(const char *path)
{
	char line[512];
	PyObject *text = wsgi_failure_take(line, sizeof line);
	const char *traceback = text ? PyUnicode_AsUTF8(text) : NULL;
	const int r = prefork_fail(-EINVAL, "%s fails:\n%s", path, traceback ? traceback : line);

	PyErr_Clear();
	Py_XDECREF(text);
	return r;
}

int wsgi_convert(const char *path, const char *program, const char *venv)
{
	char directory[PATH_MAX];
	int r = wsgi_virtualenv_find(venv, program, directory, sizeof directory);

	if (r == 0)
		r = wsgi_python_start(program, *directory ? directory : NULL);
	if (r < 0)
		return r;
	const long left = run(path);

	if (left < 0)
		r = fail_with_traceback(path);
	else if (left > 0)
		r = prefork_fail(-EINVAL, "%s: %ld of its settings have no counterpart; they are printed as "
		                                  "comments",
		                 path, left);
	wsgi_gil_release();
	return r;
}
