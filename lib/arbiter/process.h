/*
 * arbiter/process.h -- the record of one worker process.
 *
 * Each slot has one record, which the next process of the slot uses again. Each sub-struct is written by the one file
 * that it is named after; the other files read it. <prefork/arbiter.h> has the functions by which hooks read it.
 */
#ifndef ARBITER_PROCESS_H
#define ARBITER_PROCESS_H

#include "arbiter/child_actions.h"
#include "arbiter/exits.h"
#include "arbiter/flood_control.h"
#include "arbiter/health.h"
#include "arbiter/queues.h"
#include "arbiter/shortages.h"
#include "arbiter/stack_dumps.h"

#include <prefork/arbiter.h>

#include <stddef.h>
#include <sys/types.h>

struct pfi_listener_list;
struct pfi_slot;

struct prefork_process {
	/* Written by children.c when it forks, closed by pfi_process_release(). */
	struct prefork_arbiter *arbiter;
	unsigned pool, slot;
	unsigned worker_index;
	uint32_t generation;
	pid_t pid; /* 0: there is no process */
	int pidfd, channel, watchdog;
	unsigned hooks_called; /* sets of hooks, in their order, whose before_fork returned 0 */
	uint64_t spawned_ms;

	unsigned messages_received; /* written by child_messages.c */
	struct pfi_process_stop stop;
	struct pfi_process_health health;
	struct pfi_process_dumps dumps;
	struct pfi_process_flood flood;
	struct pfi_process_queue queue;
	struct pfi_process_shortage shortage;
	struct pfi_process_exit exit;

	/* Written by process.c. */
	struct {
		int *sets; /* by listener: its epoll set of reuseport sockets, -1: the listener has none */
		size_t count;
	} reuseport;
	char exit_note[256]; /* why it fails or exits, as the worker has reported it */
	void *user;
};

struct pfi_slot *pfi_process_slot(const struct prefork_process *process);

/* Store the exit note without its control characters. */
void pfi_process_set_exit_note(struct prefork_process *process, const char *text);

/* Open one epoll set for each listener that has reuseport sockets. 0 or a negative errno. */
int pfi_process_open_sets(struct prefork_process *process, const struct pfi_listener_list *listeners);
void pfi_process_close_sets(struct prefork_process *process);

/* Close all descriptors of a process that has exited, so that the slot can be used again. */
void pfi_process_release(struct prefork_arbiter *arbiter, struct prefork_process *process);

/* Wait for the exit of a process that was sent SIGKILL, and release it. */
void pfi_process_reap(struct prefork_arbiter *arbiter, struct prefork_process *process);

/* The other arbiter of an upgrade is about to refuse new connections on sockets that the workers still accept from. */
void pfi_processes_expect_refusal(struct prefork_arbiter *arbiter);

#endif
