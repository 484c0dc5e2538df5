/*
 * adopt_entries -- make the entries of listeners exclusive in an epoll set that another library owns.
 *
 * Most event loops have no EPOLLEXCLUSIVE. Without it each connection wakes every idle worker, and one of them
 * accepts several times its share. A nested epoll set with exclusive entries does not help: the kernel wakes all
 * waiters of the outer set. So the loop watches each listener as it watches any descriptor, and then the entry in
 * its epoll set is replaced by one with the same data and EPOLLEXCLUSIVE. The loop keeps working, because it does
 * not call epoll_ctl(2) for a watcher that stays started. The number of its epoll set and the data of its entries
 * are read from /proc/self/fdinfo; nothing is assumed about the memory of the loop.
 *
 * docs/decisions/0004-exclusive-wake-ups-in-libev.md has the measurements.
 */
#ifndef WORKER_ADOPT_ENTRIES_H
#define WORKER_ADOPT_ENTRIES_H

#include "worker/accept_set.h"

#include <stdint.h>

/* Replace the entries of all listeners, which are in one epoll set besides the accept set; `keys` has room for each
 * listener, is filled in with their data, and borrowed. If they cannot be found (-ENOENT, -EEXIST, or the errno of
 * /proc), the listeners are in `own`, and their events carry their index: everything works, but connections are
 * shared less evenly. Either way the next refresh adds the entries. */
int pfi_adopt_entries(struct pfi_accept_set *accept_set, int own, uint64_t *keys);

#endif
