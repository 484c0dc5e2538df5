/*
 * daemon -- go on in the background, while the process that was started waits until the server is ready.
 *
 *     starter --fork--> waiter --setsid, fork--> daemon
 *        |                 |<----- ready_fd ------ | ready: one byte; failed: end of file
 *        |<-- its status --'
 *
 * The starter exits with 0 once the daemon is ready, and else with its exit status. Until then the daemon keeps standard
 * error, so that it can print why a start fails; workers do not.
 */
#ifndef OS_DAEMON_H
#define OS_DAEMON_H

#include <stdbool.h>

struct pfi_daemon {
	int ready_fd;        /* -1: the starter does not wait, or there is none             */
	bool detaches_stdio; /* the standard streams become /dev/null                       */
};

#define PFI_NO_DAEMON ((struct pfi_daemon){ .ready_fd = -1 })

/* Before other threads are started, and before anything is opened that belongs to one process. Returns in the daemon: 0;
 * or in the starter a negative errno with an error message: -EBUSY if there are several threads. In a process that
 * is a daemon already nothing changes. Unless `inherit_stdio` is set, /dev/null replaces the standard streams; it
 * replaces a terminal in any case. */
int pfi_daemon_start(bool inherit_stdio, struct pfi_daemon *ret);

/* The server is ready: release the starter, and replace standard error by /dev/null. */
void pfi_daemon_ready(struct pfi_daemon *daemon);

/* Runs in a worker: replace standard error by /dev/null. */
void pfi_daemon_detach(const struct pfi_daemon *daemon);

#endif
