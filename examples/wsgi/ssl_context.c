/* Calls the hook ssl_context each time that the settings are read. */
#include "ssl_context.h"
#include "config_file.h"
#include "failure.h"
#include "forked_children.h"
#include "python_modules.h"
#include "wsgi_options.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <stdbool.h>

static int assign(struct prefork_settings *settings, PyObject *pairs)
{
	const char *name, *text;
	int r = 0;

	for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(pairs); i++) {
		if (!PyArg_ParseTuple(PyList_GET_ITEM(pairs, i), "ss", &name, &text))
			return -1;
		r = prefork_settings_override(settings, name, text, "ssl_context");
	}
	return r;
}

/* Takes the exception that is set, if there is one: else there is an error message. */
static int fail(void)
{
	char line[512];

	if (!PyErr_Occurred())
		return PREFORK_ECONFIG;
	Py_XDECREF(wsgi_failure_take(line, sizeof line));
	return prefork_fail(PREFORK_ECONFIG, "the hook ssl_context has failed: %s", line);
}

int wsgi_ssl_context_apply(struct prefork_settings *settings)
{
	PyObject *config, *pairs = NULL;
	bool had_gil;
	int r;

	if (!wsgi_config_file_was_read(settings) ||
	    (!wsgi_options_is_set(settings, "certfile") && !wsgi_options_is_set(settings, "keyfile")))
		return 0; /* as with gunicorn; Python's module ssl is not imported */
	r = wsgi_config_enter_python(settings, &had_gil);
	if (r < 0)
		return r;
	r = -1;
	config = had_gil ? Py_XNewRef(wsgi_config_of(settings)) : wsgi_config_draft(settings);
	if (config)
		pairs = wsgi_python_call("prefork_wsgi.ssl_context", "assignments", "(Od)", config,
		                         (double)prefork_settings_int(settings, "hook_timeout") / 1000);
	wsgi_forked_child_stop();
	if (pairs)
		r = assign(settings, pairs);
	r = r < 0 ? fail() : 0;
	Py_XDECREF(pairs);
	Py_XDECREF(config);
	wsgi_config_leave_python(had_gil);
	return r;
}
