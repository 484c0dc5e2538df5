/* The table of gunicorn_table.c for Python: the built-in module _prefork_wsgi_table, with which prefork_wsgi.table makes
 * its rows. */
#include "gunicorn_view.h"
#include "gunicorn_table.h"

static PyObject *row(const struct wsgi_gunicorn_row *from)
{
	return Py_BuildValue("(ssssssss)", from->name, from->section, from->flags ? from->flags : "",
	                     wsgi_gunicorn_kind_name(from->kind), from->usual,
	                     wsgi_gunicorn_status_name(from->status), from->arguments ? from->arguments : "", from->why ? from->why : "");
}

static PyObject *rows(PyObject *self, PyObject *none)
{
	PyObject *all = PyList_New(0);

	(void)self, (void)none;
	for (size_t i = 0; all && i < wsgi_gunicorn_row_count; i++) {
		PyObject *each = row(&wsgi_gunicorn_rows[i]);

		if (each == NULL || PyList_Append(all, each) < 0)
			Py_CLEAR(all);
		Py_XDECREF(each);
	}
	return all;
}

static PyObject *is_harmless(PyObject *self, PyObject *arguments)
{
	const struct wsgi_gunicorn_row *found;
	const char *name, *text;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "ss", &name, &text))
		return NULL;
	found = wsgi_gunicorn_row(name);
	if (found == NULL)
		return PyErr_Format(PyExc_KeyError, "%s", name);
	return PyBool_FromLong(wsgi_gunicorn_is_harmless(found, text));
}

static PyMethodDef methods[] = {
	{ "rows", rows, METH_NOARGS, NULL },
	{ "is_harmless", is_harmless, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "_prefork_wsgi_table",
	.m_size = -1,
	.m_methods = methods,
};

PyObject *wsgi_gunicorn_view(void)
{
	return PyModule_Create(&definition);
}
