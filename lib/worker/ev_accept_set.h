/*
 * ev_accept_set -- the accept set of a worker whose poller is libev.
 *
 * libev has no EPOLLEXCLUSIVE. Without it each connection wakes every idle worker, and one of them accepts
 * several times its share. A nested epoll set with exclusive entries does not help: the kernel wakes all
 * waiters of the outer set. So each listener gets an ordinary ev_io watcher, and then its entry in libev's
 * epoll set is replaced by one with the same data and EPOLLEXCLUSIVE. libev keeps working, because it does
 * not call epoll_ctl(2) for a watcher that stays started. The number of libev's epoll set and the data of
 * its entries are read from /proc/self/fdinfo; nothing is assumed about libev's memory.
 *
 * If they cannot be read, the listeners stay in a nested epoll set: everything works, but connections are
 * shared less evenly. docs/decisions/0004-exclusive-wake-ups-in-libev.md has the measurements.
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
	struct pfi_accept_set accept_set;
	struct ev_loop *loop; /* borrowed */
	pfi_listener_ready *on_readable;
	void *user;
	ev_io *ios;     /* by index: the watchers that libev dispatches to   */
	uint64_t *keys; /* by index: the data of libev's epoll entries       */
	int inner;      /* the nested epoll set                              */
	ev_io inner_io; /* started only if libev's entries cannot be replaced */
	ev_fork fork;   /* called before libev recreates its epoll set   */
	bool replaced;  /* set by `fork`: the exclusive entries are gone */
};

/* `loop` must use epoll; one turn of it is run here. Returns 0 or a negative errno. */
int pfi_ev_accept_set_open(struct pfi_ev_accept_set *ev, struct prefork_worker *worker, struct ev_loop *loop,
                           pfi_listener_ready *on_readable, void *user);
void pfi_ev_accept_set_finish(struct pfi_ev_accept_set *ev);

/* As pfi_accept_set_refresh(). Call it before each wait. */
uint64_t pfi_ev_accept_set_refresh(struct pfi_ev_accept_set *ev);

/* As pfi_accept_set_close(). */
void pfi_ev_accept_set_close(struct pfi_ev_accept_set *ev);

#endif
