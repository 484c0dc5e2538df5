#include "worker/ev_accept_set.h"

#include "os/epoll.h"
#include "os/fd.h"
#include "os/fdtable.h"
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
		pfi_own_fds_lost(ev->accept_set.worker);
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

/* Take all entries out of libev's set, after noting what they were. */
static int take_entries(struct pfi_ev_accept_set *ev, int *ret_set)
{
	int set = -1, first = -1;

	for (size_t i = 0; i < ev->accept_set.count; i++) {
		const int r = pfi_epoll_find(ev->ios[i].fd, &set, &ev->keys[i]);

		if (r < 0)
			return r;
		if (i > 0 && set != first)
			return -EEXIST;
		first = set;
	}
	for (size_t i = 0; i < ev->accept_set.count; i++) {
		if (epoll_ctl(set, EPOLL_CTL_DEL, ev->ios[i].fd, NULL) < 0)
			return -errno;
	}
	*ret_set = set;
	return 0;
}

/* libev does not touch the kernel's entry when a watcher is stopped; it finds out
 * later that nobody wants the events, and takes it out then. */
static void stop_listeners(struct pfi_ev_accept_set *ev)
{
	for (size_t i = 0; i < ev->accept_set.count; i++)
		ev_io_stop(ev->loop, &ev->ios[i]);
}

/* libev has entries of its own for the listeners now. Ours instead of them, or none. */
static void replace_entries(struct pfi_ev_accept_set *ev)
{
	int set = -1;

	ev->replaced = false;
	pfi_accept_set_move(&ev->accept_set, ev->inner, NULL); /* in no set for now, so that there is one to find */
	if (take_entries(ev, &set) == 0) {
		pfi_accept_set_move(&ev->accept_set, set, ev->keys);
		ev_io_stop(ev->loop, &ev->inner_io);
		return;
	}
	stop_listeners(ev);
	ev_io_start(ev->loop, &ev->inner_io);
}

static void start_listeners(struct pfi_ev_accept_set *ev, struct prefork_worker *worker)
{
	for (size_t i = 0; i < ev->accept_set.count; i++) {
		ev_io_init(&ev->ios[i], on_listener,
		           prefork_listener_fd(prefork_worker_listener(worker, i)), EV_READ);
		ev_set_priority(&ev->ios[i], 1); /* nobody else was woken for their clients */
		ev->ios[i].data = ev;
		ev_io_start(ev->loop, &ev->ios[i]);
	}
	ev_fork_init(&ev->fork, on_fork);
	ev->fork.data = ev;
	ev_fork_start(ev->loop, &ev->fork);
}

int pfi_ev_accept_set_open(struct pfi_ev_accept_set *ev, struct prefork_worker *worker, struct ev_loop *loop,
                      pfi_listener_ready *on_readable, void *user)
{
	const size_t count = prefork_worker_listeners(worker);
	int r;

	*ev = (struct pfi_ev_accept_set){ .loop = loop, .on_readable = on_readable, .user = user };
	ev->ios = calloc(count + 1, sizeof *ev->ios);
	ev->keys = calloc(count + 1, sizeof *ev->keys);
	ev->inner = pfi_open_epoll();
	if (!ev->ios || !ev->keys)
		r = prefork_fail(-ENOMEM, "no memory for %zu listeners", count);
	else if (ev->inner < 0)
		r = prefork_fail(ev->inner, "cannot open an epoll set: %s", strerror(-ev->inner));
	else
		r = pfi_accept_set_open(&ev->accept_set, worker, ev->inner, 0);
	if (r < 0) {
		pfi_ev_accept_set_finish(ev);
		return r;
	}
	pfi_own_fds_add(worker, ev->inner, "epoll set of listeners");
	ev_io_init(&ev->inner_io, on_inner, ev->inner, EV_READ);
	ev_set_priority(&ev->inner_io, 1);
	ev->inner_io.data = ev;
	start_listeners(ev, worker);
	(void)ev_run(loop, EVRUN_NOWAIT); /* which makes the entries */
	replace_entries(ev);
	return 0;
}

void pfi_ev_accept_set_finish(struct pfi_ev_accept_set *ev)
{
	if (ev_is_active(&ev->fork))
		pfi_ev_accept_set_close(ev);
	pfi_accept_set_finish(&ev->accept_set);
	pfi_close(&ev->inner);
	free(ev->keys);
	free(ev->ios);
	ev->keys = NULL;
	ev->ios = NULL;
}

uint64_t pfi_ev_accept_set_refresh(struct pfi_ev_accept_set *ev)
{
	if (ev->replaced && !ev->accept_set.closed) {
		pfi_accept_set_forget(&ev->accept_set);
		replace_entries(ev);
	}
	return pfi_accept_set_refresh(&ev->accept_set);
}

void pfi_ev_accept_set_close(struct pfi_ev_accept_set *ev)
{
	if (ev->accept_set.closed)
		return;
	stop_listeners(ev);
	ev_io_stop(ev->loop, &ev->inner_io);
	ev_fork_stop(ev->loop, &ev->fork);
	pfi_accept_set_close(&ev->accept_set);
}
