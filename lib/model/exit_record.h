/*
 * model/exit_record.h -- why a worker is gone, and the error message that says so.
 *
 * The exit status of a worker is a protocol (<prefork/worker.h>); what the
 * arbiter had asked of it and whether it was ready decide the rest. Pure: what
 * the kernel said comes in as numbers. The texts come from the worker; they
 * are made fit for one line of a log here.
 */
#ifndef PFI_MODEL_EXIT_RECORD_H
#define PFI_MODEL_EXIT_RECORD_H

#include <prefork/arbiter.h>

#include "model/lifecycle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why the arbiter made a worker leave. */
#define PFI_CAUSES(X)                                                     \
	X(NONE, "nobody asked it to")                                   \
	X(RELOAD, "a reload")                                           \
	X(RECYCLE, "it asked to be replaced")                           \
	X(SCALE, "there are fewer workers now")                         \
	X(STOP, "the server stops")                                     \
	X(BOOT_TIMEOUT, "it was not ready within boot_timeout")         \
	X(REQUEST_TIMEOUT, "its request took longer than timeout")      \
	X(DRAIN_TIMEOUT, "it took longer than graceful_timeout to leave") \
	X(ROLLBACK, "its generation was taken back")                    \
	X(LEFT, "nobody asked it to") /* it decided, or was told by somebody else */

#define PFI_ENUM_CAUSE(name, text) PFI_CAUSE_##name,
enum pfi_cause {
	PFI_CAUSES(PFI_ENUM_CAUSE) PFI_CAUSE_COUNT
};
#undef PFI_ENUM_CAUSE

struct pfi_exit_record {
	/* what the kernel knows */
	bool known; /* false: the host reaped it first */
	int code;   /* when signal is 0 */
	int signal; /* the one that ended it, or 0 */
	bool core;
	uint64_t rss_max_kib;
	uint64_t cpu_ms;

	/* what the arbiter knows */
	int pid;
	const char *pool;
	enum pfi_state state; /* when it died */
	enum pfi_cause cause; /* why it was asked to leave, if it was */
	bool was_ready;
	uint64_t age_ms;

	/* what the worker said */
	uint64_t requests;
	const char *activity; /* what it was last at, or "" */
	unsigned busy;    /* threads that were at work  */
	const char *exit_message; /* why it failed or left, or "" */
};

enum prefork_reason pfi_exit_reason(const struct pfi_exit_record *record);

/** True for the reasons that make the arbiter wait before it tries again. */
bool pfi_exit_is_failure(enum prefork_reason reason);

/** "crashed", "timed out": for status and metrics. */
const char *pfi_reason_name(enum prefork_reason reason);
const char *pfi_cause_text(enum pfi_cause cause);

/** Write one line into `text`: how it ended, by whose hand, its age, work and
 *  memory, what it was at, and `next`, which says what happens now. Always
 *  ends with a 0; cut to `size`. */
void pfi_exit_explain(const struct pfi_exit_record *record, const char *next, char *text, size_t size);

/** Copy `from` so that it is fit for a line of a log: control characters become
 *  '?', cut to `size` with a 0. */
void pfi_exit_clean_text(const char *from, char *text, size_t size);

#endif
