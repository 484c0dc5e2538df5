/*
 * embed_libev: the arbiter inside a program that runs libev's default loop.
 *
 * The program has a timer and takes SIGTERM and SIGINT by watchers of its own; the arbiter is one
 * watcher more. The workers may be of any class: with --worker-class libev each has a loop of its
 * own, which has nothing to do with the one here.
 *
 * A default loop waits for every child of its process, ours too. The arbiter notices a death all
 * the same and replaces the worker; only how it died is then known to the loop alone, and the log
 * says "status unknown: reaped by the host". A host that wants to know uses ev_loop_new() instead.
 */
#include <prefork/prefork.h>

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>

struct host {
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
	struct host *const host = timer->data;

	(void)loop;
	(void)events;
	printf("tick %u\n", ++host->ticks);
	fflush(stdout);
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct host *const host = watcher->data;

	(void)loop;
	(void)events;
	prefork_arbiter_request_stop(host->arbiter, watcher->signum == SIGTERM);
}

/* The server is over; the host could go on without it. */
static void on_end(struct prefork_arbiter *arbiter, int result, void *user)
{
	struct host *const host = user;

	(void)arbiter;
	host->result = result;
	ev_break(ev_default_loop(0), EVBREAK_ALL);
}

static void watch(struct host *host, struct ev_loop *loop)
{
	host->tick.data = host->term.data = host->interrupt.data = host;
	ev_timer_init(&host->tick, on_tick, 0.1, 0.1);
	ev_signal_init(&host->term, on_signal, SIGTERM);
	ev_signal_init(&host->interrupt, on_signal, SIGINT);
	ev_timer_start(loop, &host->tick);
	ev_signal_start(loop, &host->term);
	ev_signal_start(loop, &host->interrupt);
}

int main(int argc, char **argv)
{
	struct ev_loop *const loop = ev_default_loop(0);
	struct prefork_settings *settings = NULL;
	struct host host = { .result = 0 };
	int r = prefork_settings_load(argc, argv, &settings); /* 1: --help and the like were answered */

	if (r == 0 && (r = prefork_arbiter_create(settings, &host.arbiter)) == 0 &&
	    (r = prefork_arbiter_add_service(host.arbiter, "echo", &service, NULL)) == 0 &&
	    (r = prefork_arbiter_start(host.arbiter)) == 0 &&
	    (r = prefork_arbiter_attach(host.arbiter, loop, on_end, &host)) == 0) {
		watch(&host, loop);
		(void)ev_run(loop, 0);
		r = host.result;
	}
	if (r < 0)
		fprintf(stderr, "embed_libev: %s\n", prefork_error());
	prefork_arbiter_destroy(host.arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
