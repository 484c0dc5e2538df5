/* Refuses objects that cannot be WSGI applications: ASGI applications, and functions without two parameters. */
#include "interface.h"

#include <stdbool.h>
#include <string.h>

/* The Python function that a call of `callable` runs, *new*; functools.partial is unwrapped. NULL, without an
 * exception, if it cannot be determined. */
static PyObject *function_of(PyObject *callable)
{
	PyObject *object = Py_NewRef(callable);

	while (object && strcmp(Py_TYPE(object)->tp_name, "functools.partial") == 0)
		Py_SETREF(object, PyObject_GetAttrString(object, "func"));
	if (object && PyMethod_Check(object))
		Py_SETREF(object, Py_NewRef(PyMethod_GET_FUNCTION(object)));
	if (object && !PyFunction_Check(object))
		Py_CLEAR(object);
	PyErr_Clear();
	return object;
}

/* The same for an attribute of a class: "__call__". */
static PyObject *function_in(PyObject *class, const char *name)
{
	PyObject *attribute = PyObject_GetAttrString(class, name);
	PyObject *function = attribute ? function_of(attribute) : NULL;

	PyErr_Clear();
	Py_XDECREF(attribute);
	return function;
}

static PyCodeObject *code_of(PyObject *function)
{
	return (PyCodeObject *)PyFunction_GET_CODE(function);
}

static bool is_asynchronous(PyObject *function)
{
	return function && (code_of(function)->co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR)) != 0;
}

/* Whether it can be called with two positional arguments, besides `self`. */
static bool takes_two(PyObject *function, bool has_self)
{
	const PyCodeObject *code = code_of(function);
	PyObject *defaults = PyFunction_GET_DEFAULTS(function), *keyword_defaults = PyFunction_GET_KW_DEFAULTS(function);
	const Py_ssize_t count = code->co_argcount - has_self;
	const Py_ssize_t optional = defaults ? PyTuple_GET_SIZE(defaults) : 0;

	if (code->co_kwonlyargcount > (keyword_defaults ? PyDict_Size(keyword_defaults) : 0))
		return false;
	return (count >= 2 || (code->co_flags & CO_VARARGS)) && count - optional <= 2;
}

/* ASGI 2: a class that takes the scope; its objects are called with receive and send. */
static bool is_asgi2(PyObject *application)
{
	PyObject *call, *init;
	bool is_one;

	if (!PyType_Check(application))
		return false;
	call = function_in(application, "__call__");
	init = function_in(application, "__init__");
	is_one = is_asynchronous(call) && init && !takes_two(init, true);
	Py_XDECREF(init);
	Py_XDECREF(call);
	return is_one;
}

static bool is_asgi(PyObject *application)
{
	PyObject *function = function_of(application);
	PyObject *call = function ? NULL : function_in((PyObject *)Py_TYPE(application), "__call__");
	const bool is_one = is_asynchronous(function) || is_asynchronous(call) || is_asgi2(application);

	Py_XDECREF(call);
	Py_XDECREF(function);
	return is_one;
}

/* Whether a call with two arguments fails for certain. Only plain functions and bound methods have known parameters. */
static bool takes_too_few(PyObject *application)
{
	const bool has_self = PyMethod_Check(application);
	PyObject *function = has_self ? PyMethod_GET_FUNCTION(application) : application;

	return PyFunction_Check(function) && !takes_two(function, has_self);
}

int wsgi_interface_check(PyObject *application, const char *name)
{
	if (is_asgi(application))
		PyErr_Format(PyExc_TypeError,
		             "\"%s\" is an ASGI application (a call of it is a coroutine), and prefork-wsgi serves WSGI: name "
		             "its WSGI application, wrap it (a2wsgi), or use an ASGI server such as uvicorn",
		             name);
	else if (takes_too_few(application))
		PyErr_Format(PyExc_TypeError,
		             "\"%s\" cannot be called with environ and start_response, as WSGI requires: if it creates "
		             "the application, name the call: \"%s%s()\"",
		             name, name, strchr(name, ':') ? "" : ":application");
	else
		return 0;
	return -1;
}
