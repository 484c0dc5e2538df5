/*
 * ev_accept_set -- the accept set of a worker whose poller is libev.
 *
 * Each listener gets an ordinary ev_io watcher, and then its entry in libev's epoll set is replaced
 * (adopt_entries.h). If that fails, the listeners stay in a nested epoll set.
 */
#ifndef WORKER_EV_ACCEPT_SET_H
#define WORKER_EV_ACCEPT_SET_H

#include "worker/accept_set.h"

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

/* A connection may be pending on listener `index`. */
typedef void pfi_listener_ready(void *user, size_t index);

struct pfi_ev_accept_set {
	struct pfi_accept_set *accept_set; /* borrowed */
	struct ev_loop *loop;              /* borrowed */
	pfi_listener_ready *on_readable;
	void *user;
	ev_io *ios;     /* by index: the watchers that libev dispatches to   */
	uint64_t *keys; /* by index: the data of libev's epoll entries       */
	int inner;      /* the nested epoll set                              */
	ev_io inner_io; /* started only if libev's entries cannot be replaced */
	ev_fork fork;   /* called before libev recreates its epoll set   */
	bool replaced;  /* set by `fork`: the exclusive entries are gone */
};

/* Opens `accept_set`. `loop` must use epoll; one turn of it is run here. Returns 0 or a negative errno. */
int pfi_ev_accept_set_open(struct pfi_ev_accept_set *ev, struct pfi_accept_set *accept_set,
                           struct prefork_worker *worker, struct ev_loop *loop, pfi_listener_ready *on_readable, void *user);

/* After pfi_ev_accept_set_stop() and pfi_accept_set_finish(). */
void pfi_ev_accept_set_finish(struct pfi_ev_accept_set *ev);

/* Before pfi_accept_set_refresh(): replace the entries again if libev has created a new epoll set. */
void pfi_ev_accept_set_refresh(struct pfi_ev_accept_set *ev);

/* Stop the watchers, if they run. Before the accept set is closed or finished. */
void pfi_ev_accept_set_stop(struct pfi_ev_accept_set *ev);

#endif
