/* Resolves MODULE:APP to an object: imports the module, follows the attributes, calls the factory. */
#include "load.h"
#include "interface.h"

#include <string.h>

static PyObject *absolute(const char *base, const char *directory)
{
	PyObject *name = PyUnicode_DecodeFSDefault(directory);
	PyObject *start = base && *directory != '/' ? PyUnicode_DecodeFSDefault(base) : NULL;

	if (name && start)
		Py_SETREF(name, PyUnicode_FromFormat("%U/%U", start, name));
	Py_XDECREF(start);
	return name;
}

int wsgi_load_path(const char *base, const char *directory)
{
	PyObject *path = PySys_GetObject("path"); /* borrowed */
	PyObject *text = absolute(base, directory);
	int r = -1;

	if (path == NULL)
		PyErr_SetString(PyExc_RuntimeError, "sys.path is missing");
	else if (text)
		r = PySequence_Contains(path, text);
	if (r == 0)
		r = PyList_Insert(path, 0, text);
	Py_XDECREF(text);
	return r < 0 ? -1 : 0;
}

static PyObject *attribute(PyObject *object, const char *names)
{
	Py_INCREF(object);
	while (object && *names != '\0') {
		const char *dot = strchr(names, '.');
		const size_t length = dot ? (size_t)(dot - names) : strlen(names);
		PyObject *name = PyUnicode_DecodeUTF8(names, (Py_ssize_t)length, NULL);
		PyObject *next = name ? PyObject_GetAttr(object, name) : NULL;

		Py_XDECREF(name);
		Py_DECREF(object);
		object = next;
		names += length + (dot != NULL);
	}
	return object;
}

/* Each element of the list `nodes` by ast.literal_eval, as a tuple. */
static PyObject *literals(PyObject *ast, PyObject *nodes)
{
	const Py_ssize_t count = PyList_Size(nodes);
	PyObject *values = count < 0 ? NULL : PyTuple_New(count);

	for (Py_ssize_t i = 0; values && i < count; i++) {
		PyObject *value = PyObject_CallMethod(ast, "literal_eval", "O", PyList_GetItem(nodes, i));

		if (value)
			PyTuple_SetItem(values, i, value);
		else
			Py_CLEAR(values);
	}
	return values;
}

static PyObject *keyword_literals(PyObject *ast, PyObject *nodes)
{
	PyObject *values = PyDict_New();

	for (Py_ssize_t i = 0; values && i < PyList_Size(nodes); i++) {
		PyObject *node = PyList_GetItem(nodes, i); /* borrowed */
		PyObject *name = PyObject_GetAttrString(node, "arg");
		PyObject *tree = PyObject_GetAttrString(node, "value");
		PyObject *value = tree ? PyObject_CallMethod(ast, "literal_eval", "O", tree) : NULL;

		if (value == NULL || name == NULL || PyDict_SetItem(values, name, value) < 0)
			Py_CLEAR(values);
		Py_XDECREF(value);
		Py_XDECREF(tree);
		Py_XDECREF(name);
	}
	return values;
}

static PyObject *call_factory(PyObject *ast, PyObject *module, PyObject *node)
{
	PyObject *function = PyObject_GetAttrString(node, "func");
	PyObject *name = function ? PyObject_CallMethod(ast, "unparse", "O", function) : NULL;
	PyObject *argument_nodes = PyObject_GetAttrString(node, "args");
	PyObject *keyword_nodes = PyObject_GetAttrString(node, "keywords");
	PyObject *factory = NULL, *arguments = NULL, *keywords = NULL, *result = NULL;

	if (name)
		factory = attribute(module, PyUnicode_AsUTF8(name));
	if (factory && argument_nodes)
		arguments = literals(ast, argument_nodes);
	if (arguments && keyword_nodes)
		keywords = keyword_literals(ast, keyword_nodes);
	if (keywords)
		result = PyObject_Call(factory, arguments, keywords);
	Py_XDECREF(keywords);
	Py_XDECREF(arguments);
	Py_XDECREF(factory);
	Py_XDECREF(keyword_nodes);
	Py_XDECREF(argument_nodes);
	Py_XDECREF(name);
	Py_XDECREF(function);
	return result;
}

/* "make('x')": parsed by Python's own parser, so that literals have Python's meaning. */
static PyObject *from_factory(PyObject *module, const char *text)
{
	PyObject *ast = PyImport_ImportModule("ast");
	PyObject *tree = ast ? PyObject_CallMethod(ast, "parse", "sss", text, "<application>", "eval") : NULL;
	PyObject *node = tree ? PyObject_GetAttrString(tree, "body") : NULL;
	PyObject *type = node ? PyObject_GetAttrString(ast, "Call") : NULL;
	PyObject *result = NULL;

	if (type && PyObject_IsInstance(node, type) == 1)
		result = call_factory(ast, module, node);
	else if (type)
		PyErr_Format(PyExc_ValueError, "\"%s\" is neither a name nor a call", text);
	Py_XDECREF(type);
	Py_XDECREF(node);
	Py_XDECREF(tree);
	Py_XDECREF(ast);
	return result;
}

static PyObject *import(const char *name, size_t length)
{
	PyObject *text = PyUnicode_DecodeFSDefaultAndSize(name, (Py_ssize_t)length);
	PyObject *module = text ? PyImport_Import(text) : NULL;
	const char *dot_py = length > 3 ? name + length - 3 : "";

	if (module == NULL && (memchr(name, '/', length) || strncmp(dot_py, ".py", 3) == 0)) {
		PyErr_Clear();
		PyErr_Format(PyExc_ImportError, "\"%U\" is a file; name the module: \"myapp:app\" for app in myapp.py "
		                                "(set --chdir to its directory)", text);
	}
	Py_XDECREF(text);
	return module;
}

PyObject *wsgi_load_callable(const char *name)
{
	const char *colon = strchr(name, ':');
	const char *what = colon && colon[1] != '\0' ? colon + 1 : "application";
	PyObject *module = import(name, colon ? (size_t)(colon - name) : strlen(name));
	PyObject *application;

	if (module == NULL)
		return NULL;
	application = strchr(what, '(') ? from_factory(module, what) : attribute(module, what);
	Py_DECREF(module);
	if (application && !PyCallable_Check(application)) {
		PyErr_Format(PyExc_TypeError, "\"%s\" is not callable, it is %R", name, application);
		Py_CLEAR(application);
	}
	return application;
}

PyObject *wsgi_load(const char *name)
{
	PyObject *application = wsgi_load_callable(name);

	if (application && wsgi_interface_check(application, name) < 0)
		Py_CLEAR(application);
	return application;
}
