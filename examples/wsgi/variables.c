/* Passes environment variables to prefork_wsgi.variables. */
#include "python.h"

#include "variables.h"

#include "python_modules.h"

#include <stdlib.h>

static const char module[] = "prefork_wsgi.variables";

void wsgi_variables_follow(const char *name)
{
	PyObject *none = wsgi_python_call(module, "follow", "(yy)", name, getenv(name));

	PyErr_Clear();
	Py_XDECREF(none);
}

void wsgi_variables_follow_removals(void)
{
	PyObject *names = wsgi_python_call(module, "names", "()");

	for (Py_ssize_t i = 0; names && i < PyList_GET_SIZE(names); i++) {
		const char *name = PyBytes_AsString(PyList_GET_ITEM(names, i));

		if (name && getenv(name) == NULL)
			wsgi_variables_follow(name);
	}
	PyErr_Clear();
	Py_XDECREF(names);
}
