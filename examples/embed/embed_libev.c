/*
 * embed_libev: the arbiter in a program that runs libev's default loop.
 *
 * The program has a timer and its own watchers for SIGTERM and SIGINT; the arbiter is one more
 * watcher. The workers may have any class: with --worker-class libev each has its own loop,
 * independent of this one.
 *
 * A default loop reaps every child of its process, workers included. The arbiter still detects the
 * exit, through its pidfd, and replaces the worker, but the exit status is lost: the log records
 * "status unknown". To keep the status, use ev_loop_new() instead.
 */
#include <prefork/prefork.h>

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>

struct application {
	struct prefork_arbiter *arbiter;
	ev_timer tick;
	ev_signal term, interrupt;
	unsigned ticks;
	int result;
};

static enum prefork_next echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[4096];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker;
	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	return prefork_connection_write(connection, bytes, (size_t)n);
}

static const struct prefork_service service = { .struct_size = sizeof service, .ready = echo };

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct application *const app = timer->data;

	(void)loop;
	(void)events;
	printf("tick %u\n", ++app->ticks);
	fflush(stdout);
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct application *const app = watcher->data;

	(void)loop;
	(void)events;
	prefork_arbiter_request_stop(app->arbiter, watcher->signum == SIGTERM);
}

/* The arbiter has stopped; the program could continue without it. */
static void on_end(struct prefork_arbiter *arbiter, int result, void *user)
{
	struct application *const app = user;

	(void)arbiter;
	app->result = result;
	ev_break(ev_default_loop(0), EVBREAK_ALL);
}

static void watch(struct application *app, struct ev_loop *loop)
{
	app->tick.data = app->term.data = app->interrupt.data = app;
	ev_timer_init(&app->tick, on_tick, 0.1, 0.1);
	ev_signal_init(&app->term, on_signal, SIGTERM);
	ev_signal_init(&app->interrupt, on_signal, SIGINT);
	ev_timer_start(loop, &app->tick);
	ev_signal_start(loop, &app->term);
	ev_signal_start(loop, &app->interrupt);
}

int main(int argc, char **argv)
{
	struct ev_loop *const loop = ev_default_loop(0);
	struct prefork_settings *settings = NULL;
	struct application app = { .result = 0 };
	int r = prefork_settings_load(argc, argv, &settings); /* 1: done, for example --help */

	if (r == 0 && (r = prefork_arbiter_create(settings, &app.arbiter)) == 0 &&
	    (r = prefork_arbiter_add_service(app.arbiter, "echo", &service, NULL)) == 0 &&
	    (r = prefork_arbiter_start(app.arbiter)) == 0 &&
	    (r = prefork_arbiter_attach(app.arbiter, loop, on_end, &app)) == 0) {
		watch(&app, loop);
		(void)ev_run(loop, 0);
		r = app.result;
	}
	if (r < 0)
		fprintf(stderr, "embed_libev: %s\n", prefork_error());
	prefork_arbiter_destroy(app.arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
