/*
 * arbiter/upgrade.h -- the binary upgrade in the old arbiter: start the new one, wait until it is ready, leave.
 *
 * The steps are model/upgrade_steps.h. Every upgrade that was requested has exactly one verdict: one log line, one call of the
 * hooks. The new arbiter is a child of this process, but no worker: it has a pidfd and a control channel of its own.
 */
#ifndef ARBITER_UPGRADE_H
#define ARBITER_UPGRADE_H

#include "arbiter/loop.h"
#include "arbiter/pools.h"
#include "model/upgrade_steps.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct prefork_arbiter;

/* Written by upgrade.c. */
struct pfi_upgrade {
	enum pfi_upgrade_state state;
	pid_t pid;  /* of the new arbiter, 0: there is none        */
	int pidfd, channel; /* to it, -1: closed                   */
	bool leaves_pidfile; /* a new arbiter has exited, its pid file is to be checked */
	uint64_t pidfile_until_ms; /* until when, if a process has the lock of the file; 0: not checked yet */
	unsigned messages;  /* received from it                    */
	bool is_automatic;  /* this arbiter stops when it is ready */
	bool takes_all;     /* it has all sockets of this one      */
	bool has_confirmed; /* its promotion                       */
	uint64_t deadline_ms; /* 0: none                                                        */
	uint64_t limit_ms;    /* how long that is, for the error message                        */
	uint64_t hold_until_ms; /* leaving: when its confirmation is due; 0: it has confirmed, or is late  */
	uint64_t exit_by_ms;    /* leaving: do not exit before the service manager is notified, but then   */
	bool is_named;          /* as the main process                                                   */
	uint32_t workers_before[PFI_POOLS_MAX]; /* WINCH during the upgrade: of each pool before it; 0: none   */
	char why[512];        /* why it fails: its own error message, if it has sent one         */
};

/* Start an upgrade, or give the verdict that it is refused. */
void pfi_upgrade_begin(struct prefork_arbiter *arbiter, bool is_automatic, uint64_t now_ms);

/* The same, as the setting `upgrade` says, for a command that waits for the verdict. */
void pfi_upgrade_requested(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* A message of the new arbiter, or its exit. */
void pfi_upgrade_process(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms);

/* Returns when to call again, 0: when something changes. */
uint64_t pfi_upgrade_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* After what was killed is reaped: remove the pid file of a new arbiter that could not do so itself. Returns when to call
 * again, 0: when something changes. */
uint64_t pfi_upgrade_remove_pidfile(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* This arbiter begins to stop; its listeners are open still. */
void pfi_upgrade_stopping(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* Whether this arbiter must begin to stop: the new one is ready, and the upgrade is automatic. Not a request to stop, which
 * would be carried out even if the new one has exited in the same turn. */
bool pfi_upgrade_wants_stop(const struct prefork_arbiter *arbiter);

/* WINCH is about to end all workers. If the upgrade fails then, as many start again. */
void pfi_upgrade_note_workers(struct prefork_arbiter *arbiter);

/* Whether a new arbiter replaces this one: then the service manager is not notified of the stop. */
bool pfi_upgrade_is_leaving(const struct prefork_arbiter *arbiter);

/* Whether a new arbiter serves, or was promoted. */
bool pfi_upgrade_new_serves(const struct prefork_arbiter *arbiter);

/* Whether the new arbiter accepts the connections that are pending on all sockets of this one. */
bool pfi_upgrade_takes_all(const struct prefork_arbiter *arbiter);

/* The stop is complete: until when this arbiter waits for the new one to confirm its promotion, 0: it can exit. */
uint64_t pfi_upgrade_holds(const struct prefork_arbiter *arbiter, uint64_t now_ms);

/* A reload of this arbiter has closed the socket `fd`, which the new one has, too. */
void pfi_upgrade_report_unused(const struct prefork_arbiter *arbiter, int fd);

/* The arbiter ends. A new one that is not ready is killed, unless it was promoted. */
void pfi_upgrade_finish(struct prefork_arbiter *arbiter);

#endif
