#include "model/rollout.h"

#include <stddef.h>

static struct pfi_decision rule(struct pfi_rollout *rollout, enum prefork_verdict verdict)
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
	/* One that was rolling has proved itself: it stays wanted, and is what
	 * remains if its successor fails. */
	const struct pfi_decision decision = rule(rollout, PREFORK_RELOAD_SUPERSEDED);

	rollout->state = PFI_ROLLOUT_PROVING;
	rollout->candidate = generation;
	rollout->before = rollout->wanted;
	return decision;
}

struct pfi_decision pfi_rollout_advance(struct pfi_rollout *rollout, enum pfi_progress progress)
{
	const struct pfi_decision none = { .given = false };

	if (rollout->state == PFI_ROLLOUT_IDLE || progress == PFI_PROGRESS_UNDERWAY)
		return none;
	if (progress == PFI_PROGRESS_FAILED) {
		rollout->wanted = rollout->before;
		return rule(rollout, PREFORK_RELOAD_FAILED);
	}
	if (rollout->state == PFI_ROLLOUT_PROVING) {
		rollout->state = PFI_ROLLOUT_ROLLING;
		rollout->wanted = rollout->candidate;
		return none;
	}
	return rule(rollout, PREFORK_RELOAD_DONE);
}

struct pfi_decision pfi_rollout_stop(struct pfi_rollout *rollout)
{
	return rule(rollout, PREFORK_RELOAD_STOPPED);
}

bool pfi_rollout_needs(const struct pfi_rollout *rollout, uint32_t generation)
{
	return generation == rollout->wanted ||
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
