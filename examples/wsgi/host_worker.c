/* The object that adapters of event loops get: descriptors to watch, and what to call when they are readable. */
#include "host_worker.h"

#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/listener.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>
#include <prefork/worker.h>

#include <stddef.h>

struct host_worker {
	PyObject_HEAD
	struct prefork_worker *worker; /* NULL: `run` of the strategy has returned */
	PyObject *application;
};

static struct prefork_worker *worker_of(PyObject *self)
{
	return ((struct host_worker *)self)->worker;
}

static PyObject *dispatch(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(worker_of(self) && prefork_worker_dispatch(worker_of(self)) == 1);
}

static PyObject *listener_ready(PyObject *self, PyObject *index)
{
	const size_t number = PyLong_AsSize_t(index);

	if (PyErr_Occurred())
		return NULL;
	if (worker_of(self))
		prefork_worker_listener_ready(worker_of(self), number);
	Py_RETURN_NONE;
}

static PyObject *adopt_listeners(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(worker_of(self) && prefork_worker_adopt_listeners(worker_of(self)) == 0);
}

static PyObject *idle(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (worker_of(self))
		prefork_worker_idle(worker_of(self));
	Py_RETURN_NONE;
}

static PyObject *busy(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (worker_of(self))
		prefork_worker_busy(worker_of(self));
	Py_RETURN_NONE;
}

static PyObject *ready(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (worker_of(self))
		prefork_worker_ready(worker_of(self));
	Py_RETURN_NONE;
}

static PyObject *check(PyObject *self, PyObject *unused)
{
	static const char *const names[] = {
		[PREFORK_CONTINUE] = "continue", [PREFORK_DRAIN] = "drain", [PREFORK_QUIT] = "quit",
	};

	(void)unused;
	return PyUnicode_InternFromString(names[worker_of(self) ? prefork_worker_check(worker_of(self)) : PREFORK_QUIT]);
}

static PyObject *close_listeners(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (worker_of(self))
		prefork_worker_close_listeners(worker_of(self));
	Py_RETURN_NONE;
}

static PyObject *count_request(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (worker_of(self))
		prefork_worker_count_request(worker_of(self));
	Py_RETURN_NONE;
}

static PyObject *setting(PyObject *self, PyObject *name)
{
	const char *const word = PyUnicode_AsUTF8(name);
	const struct prefork_settings *const settings = worker_of(self) ? prefork_worker_settings(worker_of(self)) : NULL;
	const char *text;
	int64_t number;

	if (word == NULL)
		return NULL;
	if (settings && prefork_settings_get_int(settings, word, &number) == 0)
		return PyLong_FromLongLong(number);
	text = settings ? prefork_settings_text(settings, word) : NULL;
	if (text == NULL)
		Py_RETURN_NONE;
	return PyUnicode_DecodeFSDefault(text);
}

static PyMethodDef methods[] = {
	{ "dispatch", dispatch, METH_NOARGS, "dispatch() -> bool: handle what is ready; False: the worker has finished" },
	{ "listener_ready", listener_ready, METH_O, "listener_ready(index): this listener is readable" },
	{ "adopt_listeners", adopt_listeners, METH_NOARGS,
	  "adopt_listeners() -> bool: the loop watches all listeners; False: stop watching them" },
	{ "idle", idle, METH_NOARGS, "idle(): the loop is about to wait" },
	{ "busy", busy, METH_NOARGS, "busy(): the loop has waited" },
	{ "ready", ready, METH_NOARGS, "ready(): a loop with its own server accepts connections" },
	{ "check", check, METH_NOARGS, "check() -> \"continue\", \"drain\" or \"quit\", for a loop with its own server" },
	{ "close_listeners", close_listeners, METH_NOARGS, "close_listeners(): a loop with its own server accepts no more" },
	{ "setting", setting, METH_O, "setting(name) -> int (times in ms), str or None: the value of a setting" },
	{ "count_request", count_request, METH_NOARGS, "count_request(): a loop with its own server has served a request" },
	{ NULL, NULL, 0, NULL },
};

static PyObject *get_fd(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromLong(worker_of(self) ? prefork_worker_poll_fd(worker_of(self)) : -1);
}

static PyObject *get_control_fd(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromLong(worker_of(self) ? prefork_worker_fd(worker_of(self)) : -1);
}

static PyObject *get_listeners(PyObject *self, void *unused)
{
	const size_t count = worker_of(self) ? prefork_worker_listeners(worker_of(self)) : 0;
	PyObject *const fds = PyTuple_New((Py_ssize_t)count);

	(void)unused;
	for (size_t i = 0; fds && i < count; i++)
		PyTuple_SET_ITEM(fds, (Py_ssize_t)i, PyLong_FromLong(prefork_listener_fd(prefork_worker_listener(worker_of(self), i))));
	return fds;
}

static PyObject *get_connections(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromLongLong(worker_of(self) ? prefork_settings_int(prefork_worker_settings(worker_of(self)), "worker_connections") : 0);
}

static PyObject *get_application(PyObject *self, void *unused)
{
	(void)unused;
	return Py_NewRef(((struct host_worker *)self)->application);
}

static PyGetSetDef attributes[] = {
	{ "fd", get_fd, NULL, "the descriptor to watch for input, level-triggered", NULL },
	{ "control_fd", get_control_fd, NULL, "readable: call check(); for a loop with its own server", NULL },
	{ "listeners", get_listeners, NULL, "the descriptors of the listeners", NULL },
	{ "connections", get_connections, NULL, "the setting worker_connections", NULL },
	{ "application", get_application, NULL, "the application", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static void host_worker_free(PyObject *self)
{
	Py_XDECREF(((struct host_worker *)self)->application);
	PyObject_Free(self);
}

static PyTypeObject type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "prefork.Worker",
	.tp_basicsize = sizeof(struct host_worker),
	.tp_dealloc = host_worker_free,
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_doc = "The worker, for the adapter of an event loop.",
	.tp_methods = methods,
	.tp_getset = attributes,
};

PyObject *wsgi_host_worker_create(struct prefork_worker *worker, PyObject *application)
{
	struct host_worker *self = PyType_Ready(&type) < 0 ? NULL : PyObject_New(struct host_worker, &type);

	if (self == NULL)
		return NULL;
	self->worker = worker;
	self->application = Py_NewRef(application);
	return (PyObject *)self;
}

void wsgi_host_worker_end(PyObject *self)
{
	((struct host_worker *)self)->worker = NULL;
	Py_DECREF(self);
}
