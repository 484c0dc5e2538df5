/* The object that adapters of event loops get: descriptors to watch, and what to call when they are readable. */
#include "host_worker.h"
#include "application.h"
#include "control_watch.h"
#include "wsgi_options.h"

#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/listener.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>
#include <prefork/worker.h>

#include <errno.h>
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

static PyObject *directive_name(enum prefork_directive directive)
{
	static const char *const names[] = {
		[PREFORK_CONTINUE] = "continue", [PREFORK_DRAIN] = "drain", [PREFORK_QUIT] = "quit",
	};

	return PyUnicode_InternFromString(names[directive]);
}

static PyObject *check(PyObject *self, PyObject *unused)
{
	(void)unused;
	return directive_name(worker_of(self) ? prefork_worker_check(worker_of(self)) : PREFORK_QUIT);
}

/* For worker classes, which report by themselves that they live. */
static PyObject *beat(PyObject *self, PyObject *more_ms)
{
	const long long number = PyLong_AsLongLong(more_ms);

	if (PyErr_Occurred())
		return NULL;
	if (worker_of(self)) {
		prefork_worker_idle(worker_of(self)); /* checks that the class has not closed what the worker needs */
		prefork_worker_busy(worker_of(self));
		prefork_request_extend(worker_of(self), number > 0 ? (uint64_t)number : 0);
	}
	Py_RETURN_NONE;
}

static PyObject *interrupt_by(PyObject *self, PyObject *signo)
{
	const long number = PyLong_AsLong(signo);

	if (PyErr_Occurred())
		return NULL;
	if (!worker_of(self))
		Py_RETURN_NONE;
	errno = -wsgi_control_watch_start(prefork_worker_fd(worker_of(self)), (int)number);
	if (errno != 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	Py_RETURN_NONE;
}

static PyObject *interrupt_again(PyObject *self, PyObject *after_ms)
{
	const long number = PyLong_AsLong(after_ms);

	if (PyErr_Occurred())
		return NULL;
	if (worker_of(self))
		wsgi_control_watch_again((int)number);
	Py_RETURN_NONE;
}

static PyObject *interrupt_no_more(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (worker_of(self))
		wsgi_control_watch_stop();
	Py_RETURN_NONE;
}

static PyObject *dump_at_abort(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (worker_of(self))
		wsgi_control_watch_abort();
	Py_RETURN_NONE;
}

static PyObject *load_application(PyObject *self, PyObject *unused)
{
	PyObject *application;

	(void)unused;
	if (!worker_of(self))
		return PyErr_Format(PyExc_RuntimeError, "the worker has ended");
	application = wsgi_application_load(prefork_worker_settings(worker_of(self)));
	return Py_XNewRef(application);
}

/* The worker's own HTTP, in a loop that reports when it waits. */
static PyObject *open_http(PyObject *self, PyObject *application)
{
	const struct prefork_host_loop host = { .struct_size = sizeof host, .flags = PREFORK_LOOP_REPORTS_IDLE };

	wsgi_application_set(application);
	if (worker_of(self) && prefork_worker_poll_open(worker_of(self), &host, NULL) < 0)
		return PyErr_Format(PyExc_RuntimeError, "%s", prefork_error());
	Py_RETURN_NONE;
}

static PyObject *retire(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (worker_of(self))
		prefork_worker_retire(worker_of(self));
	Py_RETURN_NONE;
}

static PyObject *accept_fd(PyObject *self, PyObject *index)
{
	const size_t number = PyLong_AsSize_t(index);
	int fd = -1;

	if (PyErr_Occurred())
		return NULL;
	errno = worker_of(self) ? -prefork_worker_accept_fd(worker_of(self), number, &fd) : EAGAIN;
	return errno == 0 ? PyLong_FromLong(fd) : PyErr_SetFromErrno(PyExc_OSError);
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
	{ "beat", beat, METH_O, "beat(ms): a worker class lives; it will call this again within so many ms. 0: no limit" },
	{ "interrupt_by", interrupt_by, METH_O, "interrupt_by(signo): whenever check() must be called, send this signal" },
	{ "interrupt_again", interrupt_again, METH_O,
	  "interrupt_again(ms): the signal is handled; the next one is sent when necessary, or after so many ms, if that is above 0" },
	{ "interrupt_no_more", interrupt_no_more, METH_NOARGS, "interrupt_no_more(): send no more signals" },
	{ "dump_at_abort", dump_at_abort, METH_NOARGS, "dump_at_abort(): SIGABRT logs the stack, then calls the handler that is set" },
	{ "load_application", load_application, METH_NOARGS, "load_application() -> the application, imported if it is not yet" },
	{ "open_http", open_http, METH_O, "open_http(application): serve HTTP by dispatch()" },
	{ "retire", retire, METH_NOARGS, "retire(): ask to be replaced; check() says when to drain" },
	{ "accept", accept_fd, METH_O, "accept(index) -> the descriptor of a connection; OSError: as accept(2)" },
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

static PyObject *get_addresses(PyObject *self, void *unused)
{
	const size_t count = worker_of(self) ? prefork_worker_listeners(worker_of(self)) : 0;
	PyObject *const names = PyTuple_New((Py_ssize_t)count);

	(void)unused;
	for (size_t i = 0; names && i < count; i++)
		PyTuple_SET_ITEM(names, (Py_ssize_t)i,
		                 PyUnicode_DecodeFSDefault(prefork_listener_address(prefork_worker_listener(worker_of(self), i))));
	return names;
}

static PyObject *get_empties_queues(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(worker_of(self) && prefork_worker_empties_queues(worker_of(self)));
}

static PyObject *get_directive(PyObject *self, void *unused)
{
	(void)unused;
	return directive_name(worker_of(self) ? prefork_worker_directive(worker_of(self)) : PREFORK_QUIT);
}

static PyObject *get_slot(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(worker_of(self) ? prefork_worker_slot(worker_of(self)) : 0);
}

static PyObject *get_connections(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromLongLong(worker_of(self) ? prefork_settings_int(prefork_worker_settings(worker_of(self)), "worker_connections") : 0);
}

static PyObject *get_application(PyObject *self, void *unused)
{
	(void)unused;
	return Py_NewRef(((struct host_worker *)self)->application ? ((struct host_worker *)self)->application : Py_None);
}

static PyObject *get_application_name(PyObject *self, void *unused)
{
	const char *const name = worker_of(self) ? wsgi_options_application(prefork_worker_settings(worker_of(self))) : NULL;

	(void)unused;
	return name ? PyUnicode_DecodeFSDefault(name) : Py_NewRef(Py_None);
}

static PyGetSetDef attributes[] = {
	{ "fd", get_fd, NULL, "the descriptor to watch for input, level-triggered", NULL },
	{ "control_fd", get_control_fd, NULL, "readable: call check(); for a loop with its own server", NULL },
	{ "listeners", get_listeners, NULL, "the descriptors of the listeners", NULL },
	{ "addresses", get_addresses, NULL, "the addresses of the listeners, as in the setting bind", NULL },
	{ "empties_queues", get_empties_queues, NULL, "accept what is pending before the listeners are closed", NULL },
	{ "directive", get_directive, NULL, "what check() or dispatch() has found last: as check()", NULL },
	{ "slot", get_slot, NULL, "the place of the worker in its pool, from 0", NULL },
	{ "connections", get_connections, NULL, "the setting worker_connections", NULL },
	{ "application", get_application, NULL, "the application", NULL },
	{ "application_name", get_application_name, NULL, "its name, as argument of the command or setting wsgi_app", NULL },
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
	self->application = Py_XNewRef(application);
	return (PyObject *)self;
}

void wsgi_host_worker_end(PyObject *self)
{
	((struct host_worker *)self)->worker = NULL;
	Py_DECREF(self);
}
