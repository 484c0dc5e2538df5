/*
 * model/rollout.h -- how a reload proves itself.
 *
 * A reload has a candidate generation. First every pool starts one canary of
 * it, beside its workers, which nobody touches. When each canary has become
 * ready and lived for the canary time, the candidate is what new workers are
 * born with, and the pools replace their workers at their own pace. When a
 * canary fails, or candidates keep failing to boot afterwards, the generation
 * before is wanted again. Each reload ends with exactly one verdict. Pure.
 */
#ifndef PFI_MODEL_ROLLOUT_H
#define PFI_MODEL_ROLLOUT_H

#include <prefork/arbiter.h>

#include <stdbool.h>
#include <stdint.h>

enum pfi_rollout_state {
	PFI_ROLLOUT_IDLE,
	PFI_ROLLOUT_PROVING, /* canaries are on probation; new workers are still of `wanted` */
	PFI_ROLLOUT_ROLLING, /* `wanted` is the candidate; `before` is what it replaces      */
};

struct pfi_rollout {
	enum pfi_rollout_state state;
	uint32_t wanted;    /* generation that new workers are born with */
	uint32_t candidate; /* under way, 0 when idle                    */
	uint32_t before;    /* wanted again if the candidate fails       */
};

/* How far one pool has come, and so all of them: the worst counts. */
enum pfi_progress {
	PFI_PROGRESS_FAILED,
	PFI_PROGRESS_UNDERWAY,
	PFI_PROGRESS_GOOD, /* proving: its canary is proved; rolling: all are replaced */
};

struct pfi_decision {
	bool given;
	enum prefork_verdict verdict;
	uint32_t generation; /* which reload it is about */
};

/** Begin to roll out `generation`. The decision on the one this supersedes, if any. */
struct pfi_decision pfi_rollout_begin(struct pfi_rollout *rollout, uint32_t generation);

/** Go on, given the worst progress of all pools. A decision when it has come to an end. */
struct pfi_decision pfi_rollout_advance(struct pfi_rollout *rollout, enum pfi_progress progress);

/** The server stops. The decision on what was under way, if anything. */
struct pfi_decision pfi_rollout_stop(struct pfi_rollout *rollout);

/** True when workers of this generation may still be wanted. */
bool pfi_rollout_needs(const struct pfi_rollout *rollout, uint32_t generation);

/** "done", "failed", "superseded", "stopped". */
const char *pfi_verdict_name(enum prefork_verdict verdict);

#endif
