/* Gives paste.py the settings, and takes those of the file from it. */
#include "paste.h"
#include "config_file.h"
#include "failure.h"
#include "interface.h"
#include "interpreter.h"
#include "python_modules.h"
#include "wsgi_options.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <limits.h>
#include <stdio.h>

static const char module[] = "prefork_wsgi.paste";

bool wsgi_paste_is_set(const struct prefork_settings *settings)
{
	return wsgi_options_is_set(settings, "paste");
}

static int set_all(struct prefork_settings *settings, PyObject *pairs)
{
	const char *const paste = prefork_settings_text(settings, "paste");
	int r = 0;

	for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(pairs); i++) {
		char place[PATH_MAX + 128];
		const char *row, *text;

		if (!PyArg_ParseTuple(PyList_GET_ITEM(pairs, i), "ss", &row, &text))
			return -1;
		(void)snprintf(place, sizeof place, "%s: %s", paste, row);
		r = prefork_settings_assign(settings, row, text, place);
	}
	return r;
}

/* Returns -1 with an exception set, or another negative number with an error message. */
static int apply(struct prefork_settings *settings, PyObject *result)
{
	PyObject *pairs, *warnings;
	const char *line;

	if (!PyArg_ParseTuple(result, "O!O!z", &PyList_Type, &pairs, &PyList_Type, &warnings, &line))
		return -1;
	if (line)
		return prefork_fail(PREFORK_ECONFIG, "%s: %s: %s", wsgi_options_place(settings, "paste"), prefork_settings_text(settings, "paste"), line);
	wsgi_config_warn(prefork_settings_text(settings, "paste"), warnings);
	return set_all(settings, pairs);
}

int wsgi_paste_apply(struct prefork_settings *settings)
{
	PyObject *variables = NULL, *has_row = NULL, *result = NULL;
	char line[512];
	bool had_gil;
	int r;

	if (!wsgi_paste_is_set(settings) || wsgi_config_is_other_command(settings))
		return 0;
	r = wsgi_config_enter_python(settings, &had_gil);
	if (r < 0)
		return r;
	variables = wsgi_config_items(settings, "raw_paste_global_conf");
	has_row = wsgi_config_has_row(settings);
	if (variables && has_row)
		result = wsgi_python_call(module, "settings", "(ssOO)", prefork_settings_text(settings, "paste"),
		                          wsgi_options_directory(settings), variables, has_row);
	r = result ? apply(settings, result) : -1;
	if (PyErr_Occurred()) {
		Py_XDECREF(wsgi_failure_take(line, sizeof line));
		r = prefork_fail(PREFORK_ECONFIG, "%s: %s", wsgi_options_place(settings, "paste"), line);
	}
	Py_XDECREF(result);
	Py_XDECREF(has_row);
	Py_XDECREF(variables);
	wsgi_config_leave_python(had_gil);
	return r;
}

PyObject *wsgi_paste_load(const struct prefork_settings *settings, bool takes_any)
{
	const char *const paste = prefork_settings_text(settings, "paste");
	PyObject *variables = wsgi_config_items(settings, "raw_paste_global_conf"), *application = NULL;

	if (variables)
		application = wsgi_python_call(module, "load", "(ssO)", paste, wsgi_options_directory(settings), variables);
	Py_XDECREF(variables);
	if (application && !takes_any && wsgi_interface_check(application, paste) < 0)
		Py_CLEAR(application);
	return application;
}
