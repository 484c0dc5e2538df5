/* Gives Python the modules that are in this program: importer.py, which is executed here, finds all others. */
#include "python_modules.h"
#include "wsgi_log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static const struct {
	const char *name;
	bool is_package;
	const char *source;
} modules[] = {
#include "python_modules.inc"
};

static bool installed;

/* {name: is it a package} */
static PyObject *all_modules(void)
{
	PyObject *all = PyDict_New();

	for (size_t i = 0; all && i < sizeof modules / sizeof modules[0]; i++) {
		if (PyDict_SetItemString(all, modules[i].name, modules[i].is_package ? Py_True : Py_False) < 0)
			Py_CLEAR(all);
	}
	return all;
}

static const char *source_of(const char *name)
{
	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
		if (strcmp(modules[i].name, name) == 0)
			return modules[i].source;
	}
	return "";
}

/* For importer.py: the text is decoded when its module is imported, or has lines in a traceback. */
static PyObject *source(PyObject *self, PyObject *name)
{
	const char *const text = PyUnicode_AsUTF8(name);

	(void)self;
	return text ? PyUnicode_FromString(source_of(text)) : NULL;
}

/* For importer.py. One line for all workers that do so: that of the arbiter, or of slot 0. */
static PyObject *report(PyObject *self, PyObject *arguments)
{
	const char *name, *place;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "ss", &name, &place))
		return NULL;
	if (wsgi_log_slot() == 0)
		wsgi_log(PREFORK_LOG_INFO, "package_replaced",
		         "In this server, the package %s is prefork-wsgi's own instead of %s", name, place);
	Py_RETURN_NONE;
}

static PyMethodDef source_method = { "source", source, METH_O, NULL };
static PyMethodDef report_method = { "report", report, METH_VARARGS, NULL };

/* install() of importer.py. */
static PyObject *call_install(PyObject *install)
{
	PyObject *const all = all_modules();
	PyObject *const text = all ? PyCFunction_New(&source_method, NULL) : NULL;
	PyObject *const reporter = text ? PyCFunction_New(&report_method, NULL) : NULL;
	PyObject *const none = reporter ? PyObject_CallFunctionObjArgs(install, all, text, reporter, NULL) : NULL;

	Py_XDECREF(reporter);
	Py_XDECREF(text);
	Py_XDECREF(all);
	return none;
}

int wsgi_python_modules_install(void)
{
	PyObject *globals, *code = NULL, *done = NULL, *none = NULL;

	if (installed)
		return 0;
	globals = Py_BuildValue("{sssO}", "__name__", "prefork_wsgi.importer", "__builtins__", PyEval_GetBuiltins());
	if (globals)
		code = Py_CompileString(source_of("prefork_wsgi.importer"), "<prefork-wsgi>/prefork_wsgi/importer.py", Py_file_input);
	if (code)
		done = PyEval_EvalCode(code, globals, globals);
	if (done)
		none = call_install(PyDict_GetItemString(globals, "install"));
	installed = none != NULL;
	Py_XDECREF(none);
	Py_XDECREF(done);
	Py_XDECREF(code);
	Py_XDECREF(globals);
	return installed ? 0 : -1;
}

PyObject *wsgi_python_get(const char *module_name, const char *name)
{
	PyObject *const module = wsgi_python_modules_install() == 0 ? PyImport_ImportModule(module_name) : NULL;
	PyObject *const object = module ? PyObject_GetAttrString(module, name) : NULL;

	Py_XDECREF(module);
	return object;
}

PyObject *wsgi_python_call(const char *module, const char *name, const char *format, ...)
{
	PyObject *function = wsgi_python_get(module, name), *arguments = NULL, *result = NULL;
	va_list values;

	va_start(values, format);
	if (function)
		arguments = Py_VaBuildValue(format, values);
	va_end(values);
	if (arguments)
		result = PyObject_CallObject(function, arguments);
	Py_XDECREF(arguments);
	Py_XDECREF(function);
	return result;
}
