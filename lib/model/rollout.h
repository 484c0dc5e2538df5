/*
 * model/rollout.h -- the state of a reload.
 *
 * A reload tries a candidate generation. First, each pool starts one canary besides its workers, none of which are
 * replaced. When each canary has been ready for the canary time, new workers are of the candidate, and the pools
 * replace the others, each at its own speed. If a canary fails, or workers of the candidate repeatedly fail to boot
 * afterwards, the previous generation becomes the desired one again. Each reload ends with exactly one verdict. Pure.
 */
#ifndef PFI_MODEL_ROLLOUT_H
#define PFI_MODEL_ROLLOUT_H

#include <prefork/arbiter.h>

#include <stdbool.h>
#include <stdint.h>

enum pfi_rollout_state {
	PFI_ROLLOUT_IDLE,
	PFI_ROLLOUT_PROVING, /* canaries are on probation; other new workers are of `desired`    */
	PFI_ROLLOUT_ROLLING, /* `desired` is the candidate, and `before` the one that it replaces */
};

struct pfi_rollout {
	enum pfi_rollout_state state;
	uint32_t desired;   /* generation of new workers       */
	uint32_t candidate; /* in progress, 0 if idle          */
	uint32_t before;    /* `desired` if the candidate fails */
};

/* The progress of one pool. That of a rollout is the lowest of all pools. */
enum pfi_progress {
	PFI_PROGRESS_FAILED,
	PFI_PROGRESS_UNDERWAY,
	PFI_PROGRESS_GOOD, /* proving: the canary is proved; rolling: all workers are replaced */
};

struct pfi_decision {
	bool given;
	enum prefork_verdict verdict;
	uint32_t generation; /* that the reload tried */
};

/** Begin to roll out `generation`. Returns the decision on the reload that this supersedes, if any. */
struct pfi_decision pfi_rollout_begin(struct pfi_rollout *rollout, uint32_t generation);

/** Continue, with the progress of all pools. Returns a decision if the reload has ended. */
struct pfi_decision pfi_rollout_advance(struct pfi_rollout *rollout, enum pfi_progress progress);

/** The server stops. Returns the decision on the reload in progress, if any. */
struct pfi_decision pfi_rollout_stop(struct pfi_rollout *rollout);

/** True if workers of this generation may still be started. */
bool pfi_rollout_needs(const struct pfi_rollout *rollout, uint32_t generation);

/** "done", "failed", "superseded", "stopped". */
const char *pfi_verdict_name(enum prefork_verdict verdict);

#endif
