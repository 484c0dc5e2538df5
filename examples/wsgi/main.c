/*
 * prefork-wsgi -- serve a Python WSGI application with supervised workers.
 */
#include "application.h"
#include "dump.h"
#include "environ.h"
#include "host_loop.h"
#include "interpreter.h"
#include "wsgi_options.h"
#include "reloader.h"
#include "tls.h"

#include <prefork/http.h>
#include <prefork/prefork.h>

#include <signal.h>
#include <stdio.h>

static int start(struct prefork_worker *worker, void *user)
{
	const char *const *program = user;

	return wsgi_application_start(worker, *program);
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
	wsgi_python_stop();
}

static const struct prefork_http_service service = {
	.struct_size = sizeof service,
	.worker_start = start,
	.handle = handle,
	.finished = finished,
	.worker_stop = stop,
};

/* A preloaded interpreter is forked with the steps of os.fork(). */

static int before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
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

static void child_after_fork(struct prefork_worker *worker, void *user)
{
	(void)worker, (void)user;
	wsgi_python_in_child();
}

static void dump(struct prefork_worker *worker, int fd, void *user)
{
	(void)worker, (void)user;
	wsgi_python_dump(fd);
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks,
	.before_fork = before_fork,
	.after_fork = after_fork,
	.fork_failed = fork_failed,
	.child_after_fork = child_after_fork,
	.dump = dump,
};

static int serve(const struct prefork_settings *settings, char **argv, struct prefork_arbiter **ret)
{
	int r = prefork_arbiter_create(settings, ret);

	if (r == 0)
		r = prefork_arbiter_add_hooks(*ret, &hooks, NULL);
	if (r == 0)
		r = wsgi_tls_attach(*ret);
	if (r == 0)
		r = prefork_http_add_service(*ret, "web", &service, argv);
	if (r == 0)
		r = wsgi_host_loop_add_strategies(*ret);
	if (r == 0)
		r = wsgi_reloader_add(*ret, settings);
	if (r == 0)
		r = prefork_arbiter_take_environment(*ret); /* LISTEN_FDS and the like, before the application reads them */
	if (r == 0)
		r = wsgi_host_loop_check(settings, argv[0]);
	if (r == 0 && prefork_settings_int(settings, "preload_app") == 1)
		r = wsgi_application_import(settings, argv[0], prefork_arbiter_log(*ret));
	return r == 0 ? prefork_arbiter_run(*ret) : r;
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
	wsgi_environ_more = wsgi_tls_fill;
	prefork_title_take(argc, argv);
	int r = wsgi_options_read(argc, argv, &settings); /* 1: done, for example --help */

	if (r == 0)
		r = serve(settings, argv, &arbiter);
	if (r < 0)
		fprintf(stderr, "prefork-wsgi: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
