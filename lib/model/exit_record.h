/*
 * model/exit_record.h -- why a worker has exited, and the text of the log line about it.
 *
 * The exit status of a worker is a protocol (<prefork/worker.h>). Its meaning also depends on what the arbiter had
 * requested and on whether the worker was ready. Pure: the kernel's status comes in as numbers. Texts that come from
 * the worker are untrusted.
 */
#ifndef PFI_MODEL_EXIT_RECORD_H
#define PFI_MODEL_EXIT_RECORD_H

#include <prefork/arbiter.h>
#include <prefork/log.h>

#include "model/lifecycle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a worker drains, quits, or is killed. */
#define PFI_CAUSES(X)                                                 \
	X(NONE, "no request")                                         \
	X(RELOAD, "a reload")                                         \
	X(RECYCLE, "the worker requested its replacement")            \
	X(SCALE, "the number of workers was reduced")                 \
	X(STOP, "the server stops")                                   \
	X(BOOT_TIMEOUT, "the worker was not ready within boot_timeout") \
	X(REQUEST_TIMEOUT, "a request exceeded timeout")              \
	X(DRAIN_TIMEOUT, "the drain exceeded graceful_timeout")       \
	X(ROLLBACK, "the reload failed")                              \
	X(SELF, "by its own decision") /* or a signal from another process made it drain */

#define PFI_ENUM_CAUSE(name, text) PFI_CAUSE_##name,
enum pfi_cause {
	PFI_CAUSES(PFI_ENUM_CAUSE) PFI_CAUSE_COUNT
};
#undef PFI_ENUM_CAUSE

struct pfi_exit_record {
	/* from the kernel */
	bool known; /* false: the application reaped the worker first, the rest is 0 */
	int code;   /* if `signal` is 0 */
	int signal; /* that killed it, or 0 */
	bool core;
	uint64_t rss_max_kib;
	uint64_t cpu_ms;

	/* from the arbiter */
	int pid;
	enum pfi_state state; /* when it exited */
	enum pfi_cause cause; /* why the arbiter stopped it, PFI_CAUSE_NONE: it did not */
	bool was_ready;
	uint64_t age_ms;

	/* from the worker; the texts are borrowed */
	uint64_t requests;
	const char *activity; /* current or last, "": none */
	unsigned busy;        /* threads that were working */
	const char *note;     /* why it failed or drained, "": not given */
};

enum prefork_reason pfi_exit_reason(const struct pfi_exit_record *record);

/** True for the reasons that count as a failure in the back-off. */
bool pfi_exit_is_failure(enum prefork_reason reason);

const char *pfi_cause_text(enum pfi_cause cause);

/** Write how and why the worker exited, one line without pairs, always terminated and truncated to `size`:
 *  "Worker (pid:12) exited with code 3, before it was ready (cannot open the database)". */
enum { PFI_EXIT_TEXT_SIZE = 960 };
void pfi_exit_explain(const struct pfi_exit_record *record, char *text, size_t size);

/** Store the pairs of the log line: reason, signal or status, age_ms, requests; if the status is known rss_max_kib and cpu_ms; if the worker had
 *  an activity busy_threads and activity. Returns their number. They borrow the texts of the record. */
enum { PFI_EXIT_PAIRS_MAX = 8 };
size_t pfi_exit_pairs(const struct pfi_exit_record *record, struct prefork_log_pair pairs[PFI_EXIT_PAIRS_MAX]);

/** Copy `from` with control characters replaced by '?', terminated and truncated to `size`. */
void pfi_exit_clean_text(const char *from, char *text, size_t size);

#endif
