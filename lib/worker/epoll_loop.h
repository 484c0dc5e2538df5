/*
 * epoll_loop -- an event loop whose poller is one level-triggered epoll set: for the strategy sync, which waits in
 * epoll_wait(2), and for workers inside another loop, which polls the set.
 *
 * prefork_worker_fd(), the listeners, and every connection that has waited at least once are in the set. A connection
 * stays in it between requests, so a request costs no epoll_ctl(2). First thread only.
 */
#ifndef WORKER_EPOLL_LOOP_H
#define WORKER_EPOLL_LOOP_H

#include "worker/event_core.h"

#include <stdint.h>

/* Data of an event: the index of a listener, one of these, or a pointer to a state, which is greater. */
enum pfi_epoll_key {
	PFI_EPOLL_CONTROL = PFI_ACCEPT_SET_MAX, /* prefork_worker_fd()                                   */
	PFI_EPOLL_TIMER,                        /* of the user, as the next one                          */
	PFI_EPOLL_WAKE,
};

/* What pfi_epoll_loop_poll() has found besides listeners and connections. */
enum {
	PFI_EPOLL_HAS_CONTROL = 1u << 0,
	PFI_EPOLL_HAS_TIMER = 1u << 1,
	PFI_EPOLL_EMPTY = 1u << 2, /* nothing was ready */
};

enum { PFI_EPOLL_EVENTS_MAX = 64 };

struct pfi_epoll_loop {
	int epoll;
	struct pfi_event_core core;
};

/* Open the set, with the listeners and the control descriptor in it. `core` is initialised. 0, or a negative errno with
 * its error message, after which pfi_epoll_loop_close() is called as well. */
int pfi_epoll_loop_open(struct pfi_epoll_loop *loop);
void pfi_epoll_loop_close(struct pfi_epoll_loop *loop);

/* Add `fd`, whose events carry `key`. 0, or a negative errno with its error message. */
int pfi_epoll_loop_add(struct pfi_epoll_loop *loop, int fd, uint32_t events, enum pfi_epoll_key key);

/* pfi_event_driver::watch, if the core is inside of a struct pfi_epoll_loop. */
pfi_event_watch pfi_epoll_loop_watch;

/* Wait for at most `max` events, at most PFI_EPOLL_EVENTS_MAX, for `timeout_ms` (-1: no limit), and handle those of
 * listeners and connections. Handle afterwards what may close a connection: it may have an event here. */
unsigned pfi_epoll_loop_poll(struct pfi_epoll_loop *loop, int max, int timeout_ms);

#endif
