/*
 * arbiter/predecessor.h -- in the new arbiter of a binary upgrade: the old one, and older ones that still drain.
 *
 * The old arbiter is the parent. The environment has the descriptors that it passes (PREFORK_FDS, PREFORK_UPGRADE_*). It
 * polls a control channel on which this arbiter reports that its workers serve. This arbiter is promoted when
 * the old one sends the message for it, closes the channel, or exits.
 */
#ifndef ARBITER_PREDECESSOR_H
#define ARBITER_PREDECESSOR_H

#include "arbiter/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct prefork_arbiter;

enum { PFI_OLDER_MAX = 64 };

/* An arbiter that was replaced and has not exited yet. */
struct pfi_older_arbiter {
	pid_t pid;
	int pidfd;
	uint64_t kill_at_ms; /* it has got SIGQUIT, and gets SIGKILL then; 0: it may drain */
};

/* Written by predecessor.c. */
struct pfi_predecessor {
	pid_t pid; /* of the arbiter that this one is an upgrade of; 0: this is none, or was promoted */
	bool is_taken, is_upgrade;
	int channel;               /* to it, -1: closed */
	uint64_t serving_since_ms; /* since when all workers serve; 0: they do not */
	bool reported_serving, reported_ready;
	uint64_t stop_by_ms;       /* told to stop: until when the old one can respond; 0: not told  */
	bool may_leave;            /* it keeps serving                                               */
	struct pfi_older_arbiter older[PFI_OLDER_MAX]; /* the oldest first; the parent is among them */
	unsigned older_count;
};

/* Take out of the environment what an old arbiter has put there, once. True if this process is its upgrade. */
bool pfi_predecessor_take(struct prefork_arbiter *arbiter);

/* The pid of the arbiter that this one is an upgrade of; 0: this is none, or was promoted. */
pid_t pfi_predecessor_pid(const struct prefork_arbiter *arbiter);

/* Whether this arbiter notifies the service manager: the old one has named it as the main process before. */
bool pfi_predecessor_is_over(const struct prefork_arbiter *arbiter);

/* The channel has a message, or an older arbiter has exited. */
void pfi_predecessor_event(struct prefork_arbiter *arbiter, struct pfi_tag tag);

/* Report that the workers serve; kill older arbiters that have not exited in time. Returns when to call again, 0: when something changes. */
uint64_t pfi_predecessor_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* This arbiter cannot start, or ends with an error: report it, unless the report of readiness was sent before. It may
 * not have taken the environment yet. */
void pfi_predecessor_report_failure(struct prefork_arbiter *arbiter, const char *why);

/*
 * If both arbiters are told to stop at the same time, one of both must refuse new connections and accept the pending ones.
 * Each would take the other for that one. So the new arbiter asks first, and goes on serving until the old one responds:
 *
 *     new: stop --LEAVES--> old serves:  LEAVE   the new one drains, and the old one takes its sockets for its own
 *                           old stops:   PROMOTE the new one is the last, and stops as a single arbiter does
 *                           no response within 500 ms: the new one drains
 *
 * Whether a graceful stop has to wait.
 */
bool pfi_predecessor_defers_stop(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* Whether a stop that was deferred has to begin. */
bool pfi_predecessor_wants_stop(const struct prefork_arbiter *arbiter, uint64_t now_ms);

/* The inherited socket `fd` is closed: no setting names it. */
void pfi_predecessor_report_unused(struct prefork_arbiter *arbiter, int fd);

/* Have the oldest arbiters quit, so that with this one and a new one there are at most `generations_max`. */
void pfi_predecessor_limit(struct prefork_arbiter *arbiter, unsigned generations_max, uint64_t now_ms);

/* For the next upgrade: older arbiters as PID=PIDFD,PID=PIDFD; their descriptors in `fds`, which has space for
 * PFI_OLDER_MAX. Returns how many there are. */
unsigned pfi_predecessor_write(const struct prefork_arbiter *arbiter, FILE *out, int *fds);

void pfi_predecessor_finish(struct prefork_arbiter *arbiter);

#endif
