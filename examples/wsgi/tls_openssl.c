/* TLS by libprefork-tls. */
#include "tls.h"

#include <prefork/http.h>
#include <prefork/tls.h>

int wsgi_tls_add_options(struct prefork_settings *settings)
{
	return prefork_tls_add_options(settings);
}

int wsgi_tls_attach(struct prefork_arbiter *arbiter)
{
	return prefork_tls_attach(arbiter, NULL);
}

static int fill(PyObject *environ, struct prefork_request *request)
{
	const struct prefork_connection *const connection = prefork_request_connection(request);
	const char *name, *text;

	for (size_t i = 0; (text = prefork_tls_variable_at(connection, i, &name)) != NULL; i++) {
		PyObject *const value = PyUnicode_DecodeLatin1(text, (Py_ssize_t)strlen(text), NULL);
		const int r = value ? PyDict_SetItemString(environ, name, value) : -1;

		Py_XDECREF(value);
		if (r < 0)
			return -1;
	}
	return 0;
}

int (*const wsgi_tls_fill)(PyObject *environ, struct prefork_request *request) = fill;
