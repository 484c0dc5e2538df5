/* Calls gunicorn's hooks at the library's, and decides what follows when one fails. */
#include "hooks.h"
#include "config_file.h"
#include "errors.h"
#include "failure.h"
#include "forked_children.h"
#include "hook_signals.h"
#include "host_loop.h"
#include "interpreter.h"
#include "loggers.h"
#include "python_modules.h"
#include "request_hooks.h"
#include "wsgi_clock.h"
#include "wsgi_log.h"
#include "wsgi_options.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/settings.h>
#include <prefork/worker.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOW_MS = 1000 };


static struct prefork_arbiter *the_arbiter; /* NULL: there are no hooks */
static unsigned target;                     /* number of workers that the library has been told */
static bool is_starting = true;
static int exit_status = -1; /* of a hook that has called sys.exit() while the server starts */
static char post_fork_failure[512];
static unsigned abort_ms; /* how long worker_abort may take; 0: it is not defined */

/* hook_timeout in seconds. */
static double limit(void)
{
	return (double)prefork_settings_int(prefork_arbiter_settings(the_arbiter), "hook_timeout") / 1000;
}

/* Takes the exception that is set: its traceback goes to the log, and one line of it becomes the error message. */
static int fail(const char *hook, int error)
{
	char line[512];
	PyObject *text;

	if (is_starting && PyErr_ExceptionMatches(PyExc_SystemExit))
		exit_status = wsgi_failure_exit_status();
	text = wsgi_failure_take(line, sizeof line);
	wsgi_failure_log(text, "hook_failed", "The hook %s has failed: %s", hook, line);
	return prefork_fail(error, "the hook %s has failed: %s", hook, line);
}

/* Call a function of prefork_wsgi.hooks, which calls the hook `hook`. Takes `arguments`, a tuple. The caller has the GIL.
 * Returns 0; -1 with an error message: it has failed, which has been logged. */
static int run(const char *hook, const char *function, PyObject *arguments)
{
	const int64_t begun_ms = wsgi_now_ms();
	PyObject *result = arguments ? wsgi_python_call("prefork_wsgi.hooks", function, "O", arguments) : NULL;
	const int64_t took_ms = wsgi_now_ms() - begun_ms;

	wsgi_forked_child_stop();
	Py_XDECREF(arguments);
	if (took_ms >= SLOW_MS)
		wsgi_log(PREFORK_LOG_WARNING, "hook_slow", "The hook %s took %" PRId64 " ms: the process did nothing else "
		                                           "meanwhile", hook, took_ms);
	if (result == NULL)
		return fail(hook, -1);
	Py_DECREF(result);
	return 0;
}

/* The same, without the GIL. `format` as Py_BuildValue(), for a tuple. */
static int call(const char *hook, const char *function, const char *format, ...)
{
	PyObject *arguments;
	va_list values;
	int r;

	if (!wsgi_gil_take())
		return prefork_fail(-ENOMEM, "no memory for the hook %s", hook);
	va_start(values, format);
	arguments = Py_VaBuildValue(format, values);
	va_end(values);
	r = run(hook, function, arguments);
	wsgi_gil_release();
	return r;
}

static bool is_ours(const struct prefork_process *process)
{
	return the_arbiter && strcmp(prefork_process_pool(process), WSGI_POOL) == 0;
}

static bool is_our_worker(const struct prefork_worker *worker)
{
	return the_arbiter && strcmp(prefork_worker_pool(worker), WSGI_POOL) == 0;
}

/* --- in the arbiter --- */

/* server.num_workers = N */
static PyObject *request_workers(PyObject *self, PyObject *number)
{
	const long workers = PyLong_AsLong(number);

	(void)self;
	if (workers == -1 && PyErr_Occurred())
		return NULL;
	if (workers < 0 || workers > UINT16_MAX)
		return PyErr_Format(PyExc_ValueError, "num_workers: %ld is not a number of workers", workers);
	(void)prefork_arbiter_request_scale(the_arbiter, 0, (unsigned)workers);
	Py_RETURN_NONE;
}

static PyMethodDef request_workers_method = { "request_workers", request_workers, METH_O, NULL };

/* (address, descriptor) of each listener, *new*. */
static PyObject *listeners(void)
{
	PyObject *list = PyList_New(0);
	struct prefork_listener *listener;

	for (size_t i = 0; list && (listener = prefork_arbiter_listener(the_arbiter, i)); i++) {
		PyObject *pair = Py_BuildValue("(si)", prefork_listener_address(listener), prefork_listener_fd(listener));

		if (pair == NULL || PyList_Append(list, pair) < 0)
			Py_CLEAR(list);
		Py_XDECREF(pair);
	}
	return list;
}

/* The caller has the GIL. */
static int make_server(struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	PyObject *request = PyCFunction_New(&request_workers_method, NULL);

	wsgi_forked_children_prepare();
	the_arbiter = arbiter;
	target = (unsigned)prefork_settings_int(prefork_arbiter_settings(arbiter), "workers");
	if (wsgi_errors_prepare() < 0 || wsgi_loggers_prepare(prefork_arbiter_log(arbiter), settings) < 0) {
		Py_XDECREF(request);
		return fail("nworkers_changed", -ENOMEM);
	}
	return run("nworkers_changed", "begin", Py_BuildValue("(zN)", wsgi_options_application(settings), request));
}

int wsgi_hooks_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	int r;

	if (!wsgi_config_file_was_read(settings) || !wsgi_gil_take())
		return 0;
	r = make_server(arbiter, settings);
	if (r == 0)
		r = run("nworkers_changed", "scaled", Py_BuildValue("(iI)", 0, target));
	wsgi_gil_release();
	return r;
}

/* The server was started without a file, which a reload has found. */
static int begin_late(struct prefork_arbiter *arbiter, const struct prefork_settings *fresh)
{
	int r;

	if (the_arbiter || !wsgi_config_file_was_read(fresh) || !wsgi_gil_take())
		return 0;
	r = make_server(arbiter, fresh);
	if (r == 0)
		r = run("nworkers_changed", "listen", Py_BuildValue("(N)", listeners()));
	if (r < 0)
		the_arbiter = NULL;
	wsgi_gil_release();
	return r;
}

int wsgi_hooks_starting(struct prefork_arbiter *arbiter)
{
	int r;

	if (the_arbiter == NULL)
		return 0;
	r = call("on_starting", "on_starting", "()");
	if (r == 0 && wsgi_gil_take()) {
		r = wsgi_config_follow(arbiter);
		wsgi_gil_release();
	}
	target = (unsigned)prefork_settings_int(prefork_arbiter_settings(arbiter), "workers");
	return r;
}

int wsgi_hooks_exit_status(void)
{
	return exit_status;
}

static int listening(struct prefork_arbiter *arbiter, void *user)
{
	PyObject *list;
	int r;

	(void)arbiter, (void)user;
	if (the_arbiter == NULL || !wsgi_gil_take()) {
		is_starting = false;
		return 0;
	}
	list = listeners();
	r = list ? run("when_ready", "when_ready", Py_BuildValue("(N)", list)) : fail("when_ready", -ENOMEM);
	wsgi_gil_release();
	is_starting = false;
	return r;
}

static void scaled(struct prefork_arbiter *arbiter, const char *pool, unsigned workers, unsigned before, void *user)
{
	(void)arbiter, (void)before, (void)user;
	if (the_arbiter == NULL || strcmp(pool, WSGI_POOL) != 0)
		return;
	target = workers;
	(void)call("nworkers_changed", "follow_scale", "(dI)", limit(), workers);
}

/* As with gunicorn, nworkers_changed is called at each reload; a new number holds once the first worker is proved. */
static int reload_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *fresh, void *user)
{
	const int64_t workers = prefork_settings_int(fresh, "workers");
	unsigned next = target;
	int r;

	(void)user;
	r = begin_late(arbiter, fresh);
	if (r < 0 || the_arbiter == NULL)
		return r;
	if (target == 0 || workers != prefork_settings_int(prefork_arbiter_settings(arbiter), "workers"))
		next = (unsigned)workers;
	(void)call("nworkers_changed", "reload_begins", "(dI)", limit(), next);
	r = call("on_reload", "on_reload", "(d)", limit());
	return r;
}

static void reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)arbiter, (void)verdict, (void)why, (void)user;
	if (the_arbiter == NULL || !wsgi_gil_take())
		return;
	(void)run("nworkers_changed", "reload_ends", Py_BuildValue("(dIN)", limit(), target, listeners()));
	wsgi_gil_release();
}

static int before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	PyObject *config;
	int r;

	(void)arbiter, (void)user;
	if (!is_ours(process) || !wsgi_gil_take())
		return 0;
	config = wsgi_config_of(prefork_process_settings(process));
	r = config ? run("pre_fork", "pre_fork", Py_BuildValue("(dIO)", limit(), prefork_process_slot(process), config))
	           : fail("pre_fork", -ENOMEM);
	wsgi_gil_release();
	return r;
}

static void fork_failed(struct prefork_arbiter *arbiter, struct prefork_process *process, int error, void *user)
{
	(void)arbiter, (void)error, (void)user;
	if (is_ours(process))
		(void)call("pre_fork", "not_forked", "()");
}

static void after_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)user;
	if (is_ours(process))
		(void)call("pre_fork", "forked", "(i)", prefork_process_pid(process));
}

static void worker_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)user;
	if (is_ours(process))
		(void)call("child_exit", "child_exit", "(di)", limit(), prefork_process_pid(process));
}

static void stopped(struct prefork_arbiter *arbiter, int result, void *user)
{
	(void)arbiter, (void)result, (void)user;
	if (the_arbiter)
		(void)call("on_exit", "on_exit", "()");
}

/* The process of an upgrade, as os.fork() would make it. */

static void upgrade_fork(struct prefork_arbiter *arbiter, void *user)
{
	(void)arbiter, (void)user;
	if (the_arbiter)
		wsgi_python_before_fork();
}

static void upgrade_forked(struct prefork_arbiter *arbiter, int pid, void *user)
{
	(void)arbiter, (void)pid, (void)user;
	if (the_arbiter)
		wsgi_python_in_parent();
}

static void upgrade_exec(struct prefork_arbiter *arbiter, void *user)
{
	(void)arbiter, (void)user;
	if (the_arbiter == NULL)
		return;
	wsgi_python_in_child();
	wsgi_hook_signals_let();
	(void)run("pre_exec", "pre_exec", Py_BuildValue("(d)", limit()));
	wsgi_hook_signals_hold();
}

/* --- in a worker --- */

/* After the interpreter has handled the fork: the GIL is held. */
static void child_privileged(struct prefork_worker *worker, void *user)
{
	int r;

	(void)user;
	if (!is_our_worker(worker)) {
		the_arbiter = NULL;
		return;
	}
	wsgi_log_prepare(prefork_worker_log(worker), prefork_worker_pool(worker), prefork_worker_slot(worker));
	wsgi_hook_signals_let();
	r = run("post_fork", "post_fork", PyTuple_New(0));
	wsgi_hook_signals_hold();
	if (r < 0)
		(void)snprintf(post_fork_failure, sizeof post_fork_failure, "%s", prefork_error());
}

int wsgi_hooks_worker_started(PyObject *application)
{
	if (the_arbiter == NULL)
		return 0;
	if (call("post_worker_init", "post_worker_init", "(O)", application) == 0)
		return 0;
	return prefork_fail(PREFORK_EBOOT, "%s", prefork_error());
}

static void worker_draining(struct prefork_worker *worker, void *user)
{
	(void)user;
	if (is_our_worker(worker) && !wsgi_host_loop_loads_application()) /* worker classes: handle_exit() */
		(void)call("worker_exit", "draining", "()");
}

static void worker_quit(struct prefork_worker *worker, void *user)
{
	(void)user;
	if (is_our_worker(worker) && !wsgi_host_loop_loads_application()) /* worker classes: handle_quit() */
		(void)call("worker_int", "worker_int", "()");
}

/* SIGABRT: as with gunicorn, worker_abort and worker_exit are called if the first thread can; then the default action of
 * the signal follows. The GIL is held. */
static _Noreturn void end_aborted(void)
{
	(void)run("worker_abort", "worker_abort", PyTuple_New(0));
	(void)run("worker_exit", "worker_exit", PyTuple_New(0));
	(void)fflush(NULL);
	abort();
}

static PyObject *abort_worker(PyObject *self, PyObject *arguments)
{
	(void)self, (void)arguments;
	end_aborted();
}

static PyMethodDef abort_worker_method = { "abort_worker", abort_worker, METH_VARARGS, NULL };

static unsigned abort_begin(struct prefork_worker *worker, void *user)
{
	(void)worker, (void)user;
	if (abort_ms > 0)
		wsgi_hook_abort_request();
	return abort_ms;
}

static void worker_abort(struct prefork_worker *worker, void *user)
{
	(void)worker, (void)user;
	if (abort_ms > 0 && wsgi_gil_take())
		end_aborted();
}

/* Whether the file has the hook. False with an exception set if that cannot be determined. */
static bool is_defined(const char *hook)
{
	PyObject *const result = wsgi_python_call("prefork_wsgi.hooks", "defined", "(s)", hook);

	Py_XDECREF(result);
	return result == Py_True;
}

/* The arbiter sends SIGKILL after abort_timeout. */
static int prepare_abort(const struct prefork_worker *worker)
{
	const int64_t ms = prefork_settings_int(prefork_worker_settings(worker), "abort_timeout");
	PyObject *function;
	int r;

	if (!is_defined("worker_abort"))
		return PyErr_Occurred() ? -1 : 0;
	function = PyCFunction_New(&abort_worker_method, NULL);
	r = function ? wsgi_hook_abort_prepare(function) : -1;
	Py_XDECREF(function);
	abort_ms = r == 0 ? (unsigned)(ms - ms / 10) : 0;
	return r;
}

int wsgi_hooks_worker_starting(const struct prefork_worker *worker)
{
	int r = 0;

	if (the_arbiter == NULL)
		return 0;
	wsgi_has_pre_request = is_defined("pre_request");
	wsgi_has_post_request = is_defined("post_request");
	if (wsgi_has_pre_request || wsgi_has_post_request)
		Py_XDECREF(PyImport_ImportModule("prefork_wsgi.requests")); /* else the first request would wait for it */
	PyErr_Clear(); /* that request reports what is wrong */
	if (post_fork_failure[0] != '\0')
		r = prefork_fail(PREFORK_EBOOT, "%s", post_fork_failure);
	else if (prepare_abort(worker) < 0)
		r = fail("worker_abort", PREFORK_EBOOT);
	if (r < 0)
		wsgi_gil_release();
	return r;
}

void wsgi_hooks_worker_exit(void)
{
	if (the_arbiter)
		(void)call("worker_exit", "worker_exit", "()");
}

static const struct prefork_hooks first = {
	.struct_size = sizeof first,
	.before_fork = before_fork,
	.fork_failed = fork_failed,
};

static const struct prefork_hooks last = {
	.struct_size = sizeof last,
	.listening = listening,
	.scaled = scaled,
	.reload_begin = reload_begin,
	.reload_end = reload_end,
	.after_fork = after_fork,
	.worker_exited = worker_exited,
	.stopped = stopped,
	.upgrade_fork = upgrade_fork,
	.upgrade_forked = upgrade_forked,
	.upgrade_exec = upgrade_exec,
	.child_privileged = child_privileged,
	.worker_draining = worker_draining,
	.worker_quit = worker_quit,
	.abort_begin = abort_begin,
	.worker_abort = worker_abort,
};

int wsgi_hooks_add_first(struct prefork_arbiter *arbiter)
{
	return prefork_arbiter_add_hooks(arbiter, &first, NULL);
}

int wsgi_hooks_add_last(struct prefork_arbiter *arbiter)
{
	return prefork_arbiter_add_hooks(arbiter, &last, NULL);
}
