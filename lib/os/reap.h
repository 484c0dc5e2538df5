/*
 * reap -- reap one child by its pidfd, and never by waitpid(-1): other children are the application's.
 *
 * An application that ignores SIGCHLD, or that reaps all children, may reap a worker first. The pidfd still shows the
 * exit; only its status is then unknown.
 */
#ifndef OS_REAP_H
#define OS_REAP_H

#include <stdbool.h>
#include <stdint.h>

struct pfi_exit_status {
	bool known;           /* false: reaped by the application, the rest is 0 */
	bool core;            /* a core was dumped                        */
	int code;             /* exit status, if `signo` is 0             */
	int signo;            /* the signal that killed it, or 0          */
	uint64_t user_us;     /* CPU time                                 */
	uint64_t system_us;
	uint64_t rss_max_kib; /* peak memory                              */
};

/* Reap the child of `pidfd`. 0 and its status in *ret; -EAGAIN: it has not exited. */
int pfi_reap(int pidfd, struct pfi_exit_status *ret);

/* Send `signo` with `value` (SI_QUEUE), so that the receiver can distinguish it from a signal of another process. 0;
 * -ESRCH: the process has exited; -EPERM. */
int pfi_pidfd_signal(int pidfd, int signo, int value);

#endif
