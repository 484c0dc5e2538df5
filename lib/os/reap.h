/*
 * reap -- how one child died, asked by its pidfd and never by waitpid(-1).
 *
 * The host's own children stay the host's. A host that ignores SIGCHLD or reaps
 * everything may be faster than we are: the pidfd still tells the death, only
 * how it came about is not known then.
 */
#ifndef OS_REAP_H
#define OS_REAP_H

#include <stdbool.h>
#include <stdint.h>

struct pfi_exit_status {
	bool known;           /* false: reaped by the host, the rest is 0 */
	bool core;            /* a core was dumped                        */
	int code;             /* exit status, when `signo` is 0           */
	int signo;            /* what killed it, or 0                     */
	uint64_t user_us;     /* CPU time                                 */
	uint64_t system_us;
	uint64_t rss_max_kib; /* peak memory                              */
};

/* Reap the child behind `pidfd`. 0 and the death in *ret; -EAGAIN: it lives. */
int pfi_reap(int pidfd, struct pfi_exit_status *ret);

/* Send `signo` with `value`, by which the receiver can tell it from a signal of
 * an outsider (SI_QUEUE). 0, -ESRCH when it is gone, -EPERM. */
int pfi_pidfd_signal(int pidfd, int signo, int value);

#endif
