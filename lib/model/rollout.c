/* The steps of a reload: candidate, canaries, replacement, verdict. */
#include "model/rollout.h"

#include <stddef.h>

static struct pfi_decision finish(struct pfi_rollout *rollout, enum prefork_verdict verdict)
{
	const struct pfi_decision decision = { true, verdict, rollout->candidate };

	if (rollout->state == PFI_ROLLOUT_IDLE)
		return (struct pfi_decision){ .given = false };
	rollout->state = PFI_ROLLOUT_IDLE;
	rollout->candidate = 0;
	return decision;
}

struct pfi_decision pfi_rollout_begin(struct pfi_rollout *rollout, uint32_t generation)
{
	/* A candidate that was rolling is proved: it stays the desired generation, and the rollback of this one
	 * returns to it. */
	const struct pfi_decision decision = finish(rollout, PREFORK_RELOAD_SUPERSEDED);

	rollout->state = PFI_ROLLOUT_PROVING;
	rollout->candidate = generation;
	rollout->before = rollout->desired;
	return decision;
}

struct pfi_decision pfi_rollout_advance(struct pfi_rollout *rollout, enum pfi_progress progress)
{
	const struct pfi_decision none = { .given = false };

	if (rollout->state == PFI_ROLLOUT_IDLE || progress == PFI_PROGRESS_UNDERWAY)
		return none;
	if (progress == PFI_PROGRESS_FAILED) {
		rollout->desired = rollout->before;
		return finish(rollout, PREFORK_RELOAD_FAILED);
	}
	if (rollout->state == PFI_ROLLOUT_PROVING) {
		rollout->state = PFI_ROLLOUT_ROLLING;
		rollout->desired = rollout->candidate;
		return none;
	}
	return finish(rollout, PREFORK_RELOAD_DONE);
}

struct pfi_decision pfi_rollout_stop(struct pfi_rollout *rollout)
{
	return finish(rollout, PREFORK_RELOAD_STOPPED);
}

bool pfi_rollout_needs(const struct pfi_rollout *rollout, uint32_t generation)
{
	return generation == rollout->desired ||
	       (rollout->state != PFI_ROLLOUT_IDLE &&
		(generation == rollout->candidate || generation == rollout->before));
}

const char *pfi_verdict_name(enum prefork_verdict verdict)
{
	static const char *const names[] = {
		[PREFORK_RELOAD_DONE] = "done",
		[PREFORK_RELOAD_FAILED] = "failed",
		[PREFORK_RELOAD_SUPERSEDED] = "superseded",
		[PREFORK_RELOAD_STOPPED] = "stopped",
	};

	return (size_t)verdict < sizeof names / sizeof names[0] ? names[verdict] : "unknown";
}
