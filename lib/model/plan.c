#include "model/plan.h"

#include "base/times.h"
#include "model/deadline.h"

struct plan {
	const struct pfi_policy *policy;
	const struct pfi_desired_state *desired;
	const struct pfi_worker_table *worker_table;
	uint64_t now_ms;
	struct pfi_orders *orders;
	uint32_t next_empty; /* where to look for the next free slot */
	uint32_t vacant;     /* so many processes may be added: with surge 0 none beside the one it replaces */
};

/* At least one of the two must be possible, or nothing could be replaced. */
static uint32_t surge_of(const struct pfi_policy *policy)
{
	return policy->surge + policy->max_unavailable == 0 ? 1 : policy->surge;
}

static uint32_t count_vacant(const struct pfi_policy *policy, const struct pfi_desired_state *desired,
			     const struct pfi_worker_table *worker_table)
{
	const uint32_t most = desired->target > 0 ? desired->target : 1; /* the canary of an empty pool */
	uint32_t alive = 0;

	if (surge_of(policy) > 0)
		return UINT32_MAX;
	for (uint32_t i = 0; i < worker_table->count; i++)
		alive += worker_table->slots[i].state != PFI_STATE_EMPTY;
	return most > alive ? most - alive : 0;
}

static void order(struct plan *plan, enum pfi_event event, enum pfi_cause cause, uint32_t slot,
		  uint32_t generation)
{
	struct pfi_orders *const orders = plan->orders;

	if (orders->count == PFI_ORDERS_MAX) {
		orders->more = true;
		return;
	}
	orders->list[orders->count++] = (struct pfi_order){ event, cause, slot, generation };
}

static void wake_at(struct plan *plan, uint64_t at_ms)
{
	plan->orders->wake_ms = pfi_earlier_ms(plan->orders->wake_ms, at_ms);
}

/* From one rung of the ladder to the next. */
static uint64_t step_ms(const struct pfi_policy *policy)
{
	return policy->abort_timeout_ms ? policy->abort_timeout_ms : PFI_LADDER_MS;
}

/* How far a slot's present state may last, 0 for as long as it likes. */
static uint64_t patience_ms(const struct pfi_policy *policy, const struct pfi_slot *slot)
{
	switch (slot->state) {
	case PFI_STATE_BOOTING:
		return policy->boot_timeout_ms;
	case PFI_STATE_DRAINING:
		return policy->graceful_timeout_ms;
	case PFI_STATE_QUITTING:
	case PFI_STATE_ABORTING:
		return step_ms(policy);
	case PFI_STATE_KILLING:
		return PFI_KILL_AGAIN_MS;
	default:
		return 0;
	}
}

static enum pfi_cause overdue_cause(enum pfi_state state)
{
	switch (state) {
	case PFI_STATE_BOOTING:
		return PFI_CAUSE_BOOT_TIMEOUT;
	case PFI_STATE_DRAINING:
		return PFI_CAUSE_DRAIN_TIMEOUT;
	default:
		return PFI_CAUSE_NONE; /* further down the ladder: the first cause stands */
	}
}

/* Has a request of this worker taken too long? Words of a worker that is not
 * ready, or is being ended anyhow, say nothing. */
static bool judge_requests(struct plan *plan, uint32_t i, const struct pfi_slot *slot)
{
	if (slot->state != PFI_STATE_SERVING && slot->state != PFI_STATE_DUMPING &&
	    slot->state != PFI_STATE_DRAINING)
		return false;
	if (slot->late != 0 && plan->now_ms < slot->grace_until_ms) {
		wake_at(plan, slot->grace_until_ms);
		return false;
	}
	/* One that leaves, gets nobody new, and has nothing left but what is stuck, is not waited for. */
	const bool is_done = slot->state == PFI_STATE_DRAINING && slot->busy <= slot->late && slot->others == 0;

	if (slot->late != 0 && (slot->able == 0 || is_done)) {
		order(plan, PFI_EVENT_STUCK, PFI_CAUSE_REQUEST_TIMEOUT, i, slot->generation);
		return true;
	}
	if (slot->unseen != 0) {
		order(plan, PFI_EVENT_TIMEOUT, PFI_CAUSE_REQUEST_TIMEOUT, i, slot->generation);
		return true;
	}
	wake_at(plan, slot->next_ms);
	if (slot->late != 0 && slot->state == PFI_STATE_DRAINING) /* nothing tells us that the others are done */
		wake_at(plan, plan->now_ms + PFI_STUCK_LOOK_MS);
	return false;
}

/* The deadlines of everybody. True when somebody missed one. */
static bool walk_ladder(struct plan *plan)
{
	bool missed = false;

	for (uint32_t i = 0; i < plan->worker_table->count; i++) {
		const struct pfi_slot *const slot = &plan->worker_table->slots[i];
		const uint64_t at_ms = pfi_deadline_after_ms(slot->since_ms, patience_ms(plan->policy, slot));

		if (slot->state == PFI_STATE_EMPTY)
			continue;
		if (plan->now_ms < plan->desired->grace_until_ms) {
			wake_at(plan, plan->desired->grace_until_ms);
		} else if (pfi_deadline_is_past(at_ms, plan->now_ms)) {
			order(plan, PFI_EVENT_OVERDUE, overdue_cause(slot->state), i, slot->generation);
			missed = true;
		} else {
			wake_at(plan, at_ms);
			missed |= judge_requests(plan, i, slot);
		}
	}
	return missed;
}

static void everybody_out(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->worker_table->count; i++) {
		const struct pfi_slot *const slot = &plan->worker_table->slots[i];
		const bool may_hurry = slot->state == PFI_STATE_DUMPING || slot->state == PFI_STATE_DRAINING;

		if (plan->desired->quit && (may_hurry || pfi_slot_is_current(slot)))
			order(plan, PFI_EVENT_QUIT, PFI_CAUSE_STOP, i, slot->generation);
		else if (pfi_slot_is_current(slot))
			order(plan, PFI_EVENT_RETIRE, PFI_CAUSE_STOP, i, slot->generation);
		else if (slot->state == PFI_STATE_DUMPING) /* what became of it is said already */
			order(plan, PFI_EVENT_RETIRE, PFI_CAUSE_NONE, i, slot->generation);
	}
}

static bool is_outdated(const struct plan *plan, const struct pfi_slot *slot)
{
	return slot->generation != plan->desired->generation || slot->wants_retire;
}

/* Has this call told slot `i` to go already? */
static bool is_reported(const struct plan *plan, uint32_t i)
{
	for (uint32_t n = 0; n < plan->orders->count; n++) {
		if (plan->orders->list[n].slot == i)
			return true;
	}
	return false;
}

/* The one to go first among those in `state`: the oldest generation before
 * those that merely wish to leave, then the oldest process. */
static uint32_t pick(const struct plan *plan, enum pfi_state state, bool outdated)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < plan->worker_table->count; i++) {
		const struct pfi_slot *const slot = &plan->worker_table->slots[i];
		const struct pfi_slot *const rival = best == UINT32_MAX ? NULL : &plan->worker_table->slots[best];

		if (slot->state != state || is_outdated(plan, slot) != outdated || i == plan->desired->canary ||
		    is_reported(plan, i))
			continue;
		if (rival == NULL || slot->generation < rival->generation ||
		    (slot->generation == rival->generation && slot->spawned_ms < rival->spawned_ms))
			best = i;
	}
	return best;
}

static void retire(struct plan *plan, enum pfi_state state, bool outdated, enum pfi_cause cause)
{
	const uint32_t i = pick(plan, state, outdated);

	if (i == UINT32_MAX) /* more orders than one call can hold */
		return;
	const struct pfi_slot *const slot = &plan->worker_table->slots[i];

	if (outdated && slot->generation > plan->desired->generation)
		cause = PFI_CAUSE_ROLLBACK;
	else if (outdated && slot->generation == plan->desired->generation)
		cause = PFI_CAUSE_RECYCLE;
	order(plan, PFI_EVENT_RETIRE, cause, i, slot->generation);
}

static bool start(struct plan *plan, uint32_t generation)
{
	if (plan->vacant == 0)
		return false;
	for (uint32_t i = plan->next_empty; i < plan->worker_table->count; i++) {
		if (plan->worker_table->slots[i].state == PFI_STATE_EMPTY) {
			plan->next_empty = i + 1;
			plan->vacant--;
			order(plan, PFI_EVENT_FORKED, PFI_CAUSE_NONE, i, generation);
			return true;
		}
	}
	plan->next_empty = plan->worker_table->count;
	return false;
}

/* With surge 0 a worker leaves before the next one starts: not while that one has to wait. */
static bool must_stay(struct plan *plan)
{
	if (surge_of(plan->policy) > 0 || plan->now_ms >= plan->desired->not_before_ms)
		return false;
	wake_at(plan, plan->desired->not_before_ms);
	return true;
}

/* With surge 0 a canary takes the place of a worker, first of one that does not serve yet. */
static void make_way(struct plan *plan, struct pfi_worker_counts *counts)
{
	const uint32_t ready = counts->current_ready + counts->outdated_ready;

	if (plan->vacant > 0 || counts->leaving > 0 || counts->outdated_booting > 0)
		return;
	if (counts->current_booting > 0) {
		retire(plan, PFI_STATE_BOOTING, false, PFI_CAUSE_RELOAD);
		counts->current_booting--;
	} else if (ready > 0 && ready + plan->policy->max_unavailable > plan->desired->target) {
		const bool outdated = counts->outdated_ready > 0;

		retire(plan, PFI_STATE_SERVING, outdated, PFI_CAUSE_RELOAD);
		*(outdated ? &counts->outdated_ready : &counts->current_ready) -= 1;
	}
}

/* Those with a stuck thread have served until now, when nobody misses them any more. */
static void release_stuck(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->worker_table->count; i++) {
		if (plan->worker_table->slots[i].state == PFI_STATE_DUMPING)
			order(plan, PFI_EVENT_RETIRE, PFI_CAUSE_NONE, i, plan->worker_table->slots[i].generation);
	}
}

/* Who is too many: those not ready before those that are, and never a ready
 * one that would be missed. Counts in `worker counts` those that stay. */
static void thin_out(struct plan *plan, struct pfi_worker_counts *counts)
{
	const struct pfi_desired_state *const desired = plan->desired;
	const uint32_t short_max = desired->hold ? 0 : plan->policy->max_unavailable;
	const uint32_t floor = desired->target > short_max ? desired->target - short_max : 0;

	for (; counts->outdated_booting > 0; counts->outdated_booting--)
		retire(plan, PFI_STATE_BOOTING, true, PFI_CAUSE_RELOAD);
	while (counts->current_booting > 0 &&
	       counts->current_ready + counts->current_booting > desired->target) {
		retire(plan, PFI_STATE_BOOTING, false, PFI_CAUSE_SCALE);
		counts->current_booting--;
	}
	for (; counts->outdated_ready > 0 && counts->current_ready + counts->outdated_ready > floor &&
	       !must_stay(plan);
	     counts->outdated_ready--)
		retire(plan, PFI_STATE_SERVING, true, PFI_CAUSE_RELOAD);
	for (; counts->current_ready > desired->target; counts->current_ready--)
		retire(plan, PFI_STATE_SERVING, false, PFI_CAUSE_SCALE);
	/* With surge 0 its replacement waits for its end. */
	if (counts->current_ready + counts->outdated_ready >= desired->target || surge_of(plan->policy) == 0)
		release_stuck(plan);
}

static void fill_up(struct plan *plan, const struct pfi_worker_counts *counts)
{
	const struct pfi_desired_state *const desired = plan->desired;
	const struct pfi_policy *const policy = plan->policy;
	const uint32_t surge = surge_of(policy);
	const uint32_t current = counts->current_ready + counts->current_booting;
	const uint32_t staying = current + counts->outdated_ready;
	const uint32_t counted = desired->hold ? staying : current;
	uint32_t missing = desired->target > counted ? desired->target - counted : 0;
	const uint32_t capacity = desired->target + surge > staying ? desired->target + surge - staying : 0;

	if (missing > capacity)
		missing = capacity;
	if (missing > desired->starts_max)
		missing = desired->starts_max;
	if (missing == 0)
		return;
	if (plan->now_ms < desired->not_before_ms) {
		wake_at(plan, desired->not_before_ms);
		return;
	}
	if (desired->one_by_one)
		missing = counts->current_booting > 0 ? 0 : 1;
	while (missing-- > 0 && start(plan, desired->generation))
		continue;
}

void pfi_plan(const struct pfi_policy *policy, const struct pfi_desired_state *desired,
	      const struct pfi_worker_table *worker_table, uint64_t now_ms, struct pfi_orders *ret)
{
	struct plan plan = { policy, desired, worker_table, now_ms, ret, 0, count_vacant(policy, desired, worker_table) };

	ret->count = 0;
	ret->more = false;
	ret->wake_ms = 0;
	if (walk_ladder(&plan)) {
		ret->more = true; /* the rest follows from what these lead to */
		return;
	}
	if (desired->leave || desired->quit) {
		everybody_out(&plan);
		return;
	}

	struct pfi_worker_counts counts = pfi_worker_table_count(worker_table, desired->generation, desired->canary);

	if (desired->probation != 0 && desired->canary == UINT32_MAX && !start(&plan, desired->probation))
		make_way(&plan, &counts);
	thin_out(&plan, &counts);
	fill_up(&plan, &counts);
}
