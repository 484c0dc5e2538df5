/*
 * ev_listeners -- a worker's listeners in a libev loop, shared as fairly as in an
 * epoll set of our own.
 *
 * libev cannot ask for EPOLLEXCLUSIVE. Without it each client wakes every idle
 * worker, and one of them gets several times its share. A set of our own
 * inside libev's does not help, since the kernel forgets at the inner set that
 * the wake-up was for one only. So each listener has a watcher as libev wants
 * it, and its entry in libev's set is then replaced by one that carries the
 * same data and asks for exclusive wake-ups: libev cannot tell the difference,
 * because it never touches the entry of a watcher that stays started. The set
 * and the data are read from /proc, nothing is known of libev's memory.
 *
 * Where they cannot be read the listeners stay in a set of their own inside
 * libev's: everything works, shared less evenly. docs/decisions tells more.
 */
#ifndef WORKER_EV_ACCEPT_SET_H
#define WORKER_EV_ACCEPT_SET_H

#include "worker/accept_set.h"

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

/* A client may be waiting at listener `index`. */
typedef void pfi_listener_ready(void *user, size_t index);

struct pfi_ev_accept_set {
	struct pfi_accept_set accept_set;
	struct ev_loop *loop; /* borrowed */
	pfi_listener_ready *on_readable;
	void *user;
	ev_io *ios;     /* by index: what libev dispatches by */
	uint64_t *keys; /* by index: the data of libev's entries */
	int inner;      /* the set of our own */
	ev_io inner_io;
	ev_fork fork;   /* tells that libev is about to replace its set */
	bool replaced;
};

/* 0 or a negative errno. The loop must use epoll. Runs one turn of it. */
int pfi_ev_accept_set_open(struct pfi_ev_accept_set *ev, struct prefork_worker *worker, struct ev_loop *loop,
                      pfi_listener_ready *on_readable, void *user);
void pfi_ev_accept_set_finish(struct pfi_ev_accept_set *ev);

/* As pfi_accept_set_refresh(): before each wait. */
uint64_t pfi_ev_accept_set_refresh(struct pfi_ev_accept_set *ev);

/* As pfi_accept_set_close(). */
void pfi_ev_accept_set_close(struct pfi_ev_accept_set *ev);

#endif
