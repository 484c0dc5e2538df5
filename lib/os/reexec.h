/*
 * reexec -- start this program anew in a child, for a binary upgrade.
 *
 * The new program has the arguments, environment and directory of the start (os/start_record.h), standard input, output
 * and error, and the descriptors that are listed; all others are closed. Its signals have their default actions and none
 * is blocked.
 */
#ifndef OS_REEXEC_H
#define OS_REEXEC_H

#include "os/spawn.h"

#include <stddef.h>
#include <stdint.h>

/* The variable in which the child writes its own pid: what is beside it is for that process alone. */
#define PFI_REEXEC_PID_VARIABLE "PREFORK_UPGRADE_PID"

/* The variable with the number of the control channel. */
#define PFI_REEXEC_CHANNEL_VARIABLE "PREFORK_UPGRADE_FD"

/* In the value of the message PFI_REEXEC_FAILED. */
enum {
	PFI_REEXEC_ERRNO = 0xffff,
	PFI_REEXEC_NO_DIRECTORY = 1 << 16, /* else it is the program that cannot be executed */
};

/* Type of the message on the control channel by which the child reports that it could not execute; no text. */
enum { PFI_REEXEC_FAILED = 64 };

struct pfi_reexec {
	char *const *variables; /* NAME=VALUE, ends with NULL: added to the environment of the start, from which all */
	                        /* variables that were meant for this process alone are removed                      */
	const int *fds;         /* stay open under their numbers                                                     */
	size_t fd_count;
	int report;             /* one of them: the child's end of a control channel                                 */
	int mask;               /* the umask of the start if this process has changed it, else -1                    */
	void (*prepare)(const void *arg); /* called first in the child                                               */
	const void *arg;
};

/* Fork and exec. 0; as pfi_spawn(); -ENOENT if what this process was started with is not known; -ENOMEM. Negative results
 * come with an error message. That the program cannot be executed is reported later, on the channel. */
int pfi_reexec(const struct pfi_reexec *order, struct pfi_child *ret);

/* In a process that pfi_reexec() has started, until its arbiter has taken the channel: send a message to the process
 * that has started it. No effect in any other process. */
void pfi_reexec_report(uint32_t type, const char *text);

#endif
