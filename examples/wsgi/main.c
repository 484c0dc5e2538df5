/*
 * prefork-wsgi -- serve a Python WSGI application with supervised workers.
 */
#include "application.h"
#include "config_file.h"
#include "config_trial.h"
#include "dump.h"
#include "environ.h"
#include "gunicorn_rows.h"
#include "heap.h"
#include "hooks.h"
#include "host_loop.h"
#include "interpreter.h"
#include "log_bridge.h"
#include "log_settings.h"
#include "preload.h"
#include "wsgi_log.h"
#include "wsgi_options.h"
#include "reloader.h"
#include "tls.h"
#include "variables.h"

#include <prefork/http.h>
#include <prefork/prefork.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


static int start(struct prefork_worker *worker, void *user)
{
	const char *const *program = user;

	int r = wsgi_hooks_worker_starting(worker);

	if (r == 0)
		r = wsgi_application_start(worker, *program);
	if (r == 0 && !wsgi_host_loop_loads_application()) /* else the worker class calls post_worker_init */
		r = wsgi_hooks_worker_started(wsgi_application_get()->callable);
	if (r == 0) {
		wsgi_log_bridge_worker_start();
	} else {
		wsgi_hooks_worker_exit();
		wsgi_log_bridge_stop();
	}
	return r;
}

static int handle(struct prefork_request *request, void *user)
{
	(void)user;
	return wsgi_request_handle(request, wsgi_application_get());
}

static void finished(struct prefork_request *request, void *user)
{
	(void)user;
	wsgi_request_finished(request);
}

static void stop(struct prefork_worker *worker, void *user)
{
	(void)worker, (void)user;
	wsgi_hooks_worker_exit();
	wsgi_log_bridge_stop();
	wsgi_python_stop();
}

static const struct prefork_http_service service = {
	.struct_size = sizeof service,
	.worker_start = start,
	.handle = handle,
	.finished = finished,
	.worker_stop = stop,
};

/* Without memory, hooks see the Config object of before. Once there was a file, settings without it have a Config object,
 * too: it was removed, and so are its hooks. The caller has the GIL. */
static void select_config(const struct prefork_settings *settings)
{
	static bool has_config;

	has_config |= wsgi_config_file_was_read(settings);
	if (has_config && wsgi_config_select(settings) < 0)
		PyErr_Clear();
}

static void use_config(const struct prefork_settings *settings, bool is_only)
{
	if (!wsgi_python_runs() || !wsgi_gil_take())
		return;
	select_config(settings);
	if (is_only)
		wsgi_config_keep(settings);
	if (is_only && wsgi_config_file_was_read(settings))
		wsgi_python_share();
	wsgi_gil_release();
}

/* A preloaded interpreter is forked with the steps of os.fork(). */

static int before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)user;
	wsgi_preload_check(process);
	wsgi_python_before_fork();
	return 0;
}

static void after_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
	wsgi_python_in_parent();
}

static void fork_failed(struct prefork_arbiter *arbiter, struct prefork_process *process, int error, void *user)
{
	(void)arbiter, (void)process, (void)error, (void)user;
	wsgi_python_in_parent();
}

static void child_privileged(struct prefork_worker *worker, void *user)
{
	(void)user;
	wsgi_python_in_child();
	if (wsgi_python_runs()) /* else it reads the environment when it starts */
		wsgi_variables_follow("PREFORK_SLOT");
	wsgi_log_bridge_in_child(worker, strcmp(prefork_worker_pool(worker), WSGI_POOL) == 0);
	select_config(prefork_worker_settings(worker));
}

/* The Config object of the settings in force is prefork_wsgi.state.cfg; in a worker, that of its generation. */
static int reload_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *fresh, void *user)
{
	(void)arbiter, (void)user;
	wsgi_config_file_report();
	use_config(fresh, false);
	return wsgi_log_bridge_reload(fresh);
}

static void reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)why, (void)user;
	use_config(prefork_arbiter_settings(arbiter), verdict == PREFORK_RELOAD_DONE);
	wsgi_log_bridge_reloaded(prefork_arbiter_settings(arbiter), verdict == PREFORK_RELOAD_DONE);
}

static void reopen(struct prefork_arbiter *arbiter, void *user)
{
	(void)arbiter, (void)user;
	wsgi_log_bridge_reopen();
}

static void worker_reopen(struct prefork_worker *worker, void *user)
{
	(void)worker, (void)user;
	wsgi_log_bridge_reopen();
}

static void dump(struct prefork_worker *worker, int fd, void *user)
{
	(void)worker, (void)user;
	wsgi_log_bridge_dump(fd);
	wsgi_python_dump(fd);
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks,
	.before_fork = before_fork,
	.after_fork = after_fork,
	.fork_failed = fork_failed,
	.child_privileged = child_privileged,
	.dump = dump,
	.reload_begin = reload_begin,
	.reload_end = reload_end,
	.reopen = reopen,
	.worker_reopen = worker_reopen,
};

/* A configuration file may have started Python, and the arbiter becomes a daemon by fork(2). */
static int create_arbiter(const struct prefork_settings *settings, struct prefork_arbiter **ret)
{
	const pid_t pid = getpid();
	int r;

	wsgi_python_before_fork();
	r = prefork_arbiter_create(settings, ret);
	if (getpid() == pid) {
		wsgi_python_in_parent();
	} else if (wsgi_python_runs()) {
		wsgi_python_in_child();
		wsgi_gil_release();
	}
	return r;
}

/* LISTEN_FDS and the like, before the application reads them. The configuration file has started Python before. */
static int take_environment(struct prefork_arbiter *arbiter)
{
	const int r = prefork_arbiter_take_environment(arbiter);

	if (r == 0 && wsgi_python_runs() && wsgi_gil_take()) {
		wsgi_variables_follow_removals();
		wsgi_gil_release();
	}
	return r;
}

static int add_service(const struct prefork_settings *settings, char **argv, struct prefork_arbiter *arbiter)
{
	struct prefork_http_service table = service;

	if (wsgi_log_settings_hook_access(settings))
		table.access = wsgi_log_bridge_access;
	return prefork_http_add_service(arbiter, WSGI_POOL, &table, argv);
}

/* Those of the configuration file before and after those that fork the interpreter. */
static int add_hooks(struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	int r = wsgi_hooks_begin(arbiter, settings);

	if (r == 0)
		r = wsgi_hooks_add_first(arbiter);
	if (r == 0)
		r = prefork_arbiter_add_hooks(arbiter, &hooks, NULL);
	return r == 0 ? wsgi_hooks_add_last(arbiter) : r;
}

static int serve(const struct prefork_settings *settings, char **argv, struct prefork_arbiter **ret)
{
	int r = create_arbiter(settings, ret);

	if (r == 0) {
		wsgi_log_prepare(prefork_arbiter_log(*ret), NULL, 0);
		wsgi_config_file_report();
		wsgi_config_file_limit(NULL);
		use_config(settings, true);
		r = wsgi_config_trial_add(*ret, settings, argv);
	}
	if (r == 0)
		r = add_hooks(*ret, settings);
	if (r == 0)
		r = wsgi_tls_attach(*ret);
	if (r == 0)
		r = add_service(settings, argv, *ret);
	if (r == 0)
		r = wsgi_host_loop_add_strategies(*ret);
	if (r == 0)
		r = wsgi_reloader_add(*ret, settings);
	if (r == 0)
		r = take_environment(*ret);
	if (r == 0)
		r = wsgi_host_loop_check(settings, argv[0]);
	if (r == 0)
		r = wsgi_log_bridge_start(*ret, settings);
	if (r == 0 && prefork_settings_int(settings, "preload_app") == 1)
		r = wsgi_application_import(settings, argv[0], prefork_arbiter_log(*ret));
	if (r == 0) {
		wsgi_gunicorn_rows_log(settings, *ret);
		r = wsgi_hooks_starting(*ret);
	}
	if (r == 0)
		r = prefork_arbiter_run(*ret);
	wsgi_log_bridge_stop();
	return r;
}

/* As python3 does at its start, and the library in workers: else a preloaded application that writes to a closed pipe
 * would kill the arbiter. Python keeps the dispositions that it finds. */
static void ignore_fatal_signals(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
}

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	ignore_fatal_signals();
	wsgi_heap_limit();
	if (wsgi_config_trial_is(argc, argv))
		return wsgi_config_trial_run(argc, argv);
	wsgi_environ_more = wsgi_tls_fill;
	prefork_title_take(argc, argv);
	int r = wsgi_options_read(argc, argv, &settings); /* 1: done, for example --help */

	if (r == 0)
		r = serve(settings, argv, &arbiter);
	if (r < 0)
		fprintf(stderr, "prefork-wsgi: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return r < 0 && wsgi_hooks_exit_status() >= 0 ? wsgi_hooks_exit_status() : prefork_exit_status(r);
}
