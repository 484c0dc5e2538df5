/* Replaces the entries of listeners in libev's epoll set by exclusive ones. */
#include "worker/ev_accept_set.h"

#include "os/fd.h"
#include "os/open.h"
#include "worker/adopt_entries.h"
#include "worker/own_fds.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 16 };

static void on_listener(struct ev_loop *loop, ev_io *io, int events)
{
	struct pfi_ev_accept_set *const ev = io->data;

	(void)loop;
	(void)events;
	ev->on_readable(ev->user, (size_t)(io - ev->ios));
}

static void on_inner(struct ev_loop *loop, ev_io *io, int revents)
{
	struct pfi_ev_accept_set *const ev = io->data;
	struct epoll_event events[EVENTS_MAX];
	const int count = epoll_wait(ev->inner, events, EVENTS_MAX, 0);

	(void)loop;
	(void)revents;
	if (count < 0 && errno != EINTR)
		pfi_own_fds_lost(ev->accept_set->worker);
	for (int i = 0; i < count; i++)
		ev->on_readable(ev->user, (size_t)events[i].data.u64);
}

static void on_fork(struct ev_loop *loop, ev_fork *fork, int events)
{
	struct pfi_ev_accept_set *const ev = fork->data;

	(void)loop;
	(void)events;
	ev->replaced = true;
}

/* ev_io_stop() makes no system call. libev removes the kernel's entry when it next returns an event that no
 * watcher wants. */
static void stop_listeners(struct pfi_ev_accept_set *ev)
{
	for (size_t i = 0; i < ev->accept_set->count; i++)
		ev_io_stop(ev->loop, &ev->ios[i]);
}

/* libev's epoll set has entries without EPOLLEXCLUSIVE for the listeners. Replace them, or, if they cannot be
 * found, stop the watchers and poll the nested set. */
static void replace_entries(struct pfi_ev_accept_set *ev)
{
	ev->replaced = false;
	if (pfi_adopt_entries(ev->accept_set, ev->inner, ev->keys) == 0) {
		ev_io_stop(ev->loop, &ev->inner_io);
		return;
	}
	stop_listeners(ev);
	ev_io_start(ev->loop, &ev->inner_io);
}

static void start_listeners(struct pfi_ev_accept_set *ev, struct prefork_worker *worker)
{
	for (size_t i = 0; i < ev->accept_set->count; i++) {
		ev_io_init(&ev->ios[i], on_listener,
		           prefork_listener_fd(prefork_worker_listener(worker, i)), EV_READ);
		ev_set_priority(&ev->ios[i], 1); /* before connections: no sibling was woken for these */
		ev->ios[i].data = ev;
		ev_io_start(ev->loop, &ev->ios[i]);
	}
	ev_fork_init(&ev->fork, on_fork);
	ev->fork.data = ev;
	ev_fork_start(ev->loop, &ev->fork);
}

int pfi_ev_accept_set_open(struct pfi_ev_accept_set *ev, struct pfi_accept_set *accept_set,
                           struct prefork_worker *worker, struct ev_loop *loop, pfi_listener_ready *on_readable, void *user)
{
	const size_t count = prefork_worker_listeners(worker);
	int r;

	*ev = (struct pfi_ev_accept_set){ .accept_set = accept_set, .loop = loop, .on_readable = on_readable, .user = user };
	ev->ios = calloc(count + 1, sizeof *ev->ios);
	ev->keys = calloc(count + 1, sizeof *ev->keys);
	ev->inner = pfi_open_epoll();
	if (!ev->ios || !ev->keys)
		r = prefork_fail(-ENOMEM, "no memory for %zu listeners", count);
	else if (ev->inner < 0)
		r = prefork_fail(ev->inner, "opening an epoll set failed: %s", strerror(-ev->inner));
	else
		r = pfi_accept_set_open(accept_set, worker, ev->inner, 0);
	if (r < 0)
		return r;
	pfi_own_fds_add(worker, ev->inner, "epoll set of listeners");
	ev_io_init(&ev->inner_io, on_inner, ev->inner, EV_READ);
	ev_set_priority(&ev->inner_io, 1);
	ev->inner_io.data = ev;
	start_listeners(ev, worker);
	(void)ev_run(loop, EVRUN_NOWAIT); /* libev adds its epoll entries */
	replace_entries(ev);
	return 0;
}

void pfi_ev_accept_set_finish(struct pfi_ev_accept_set *ev)
{
	pfi_close(&ev->inner);
	free(ev->keys);
	free(ev->ios);
	ev->keys = NULL;
	ev->ios = NULL;
}

void pfi_ev_accept_set_refresh(struct pfi_ev_accept_set *ev)
{
	if (ev->replaced && !ev->accept_set->closed) {
		pfi_accept_set_forget(ev->accept_set);
		replace_entries(ev);
	}
}

void pfi_ev_accept_set_stop(struct pfi_ev_accept_set *ev)
{
	if (!ev_is_active(&ev->fork))
		return; /* not started, or stopped already */
	stop_listeners(ev);
	ev_io_stop(ev->loop, &ev->inner_io);
	ev_fork_stop(ev->loop, &ev->fork);
}
