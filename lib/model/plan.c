/* Compares desired and actual state of one pool, and returns the orders that bring them closer. */
#include "model/plan.h"

#include "base/times.h"
#include "model/deadline.h"

struct plan {
	const struct pfi_policy *policy;
	const struct pfi_desired_state *desired;
	const struct pfi_worker_table *worker_table;
	uint64_t now_ms;
	struct pfi_orders *orders;
	uint32_t next_empty; /* no slot below this one is free */
	uint32_t vacant;     /* processes that may be added; with surge 0, only in place of one that has exited */
};

/* Without surge and without unavailable workers nothing could be replaced. */
static uint32_t surge_of(const struct pfi_policy *policy)
{
	return policy->surge + policy->max_unavailable == 0 ? 1 : policy->surge;
}

static uint32_t count_vacant(const struct pfi_policy *policy, const struct pfi_desired_state *desired,
			     const struct pfi_worker_table *worker_table)
{
	const uint32_t most = desired->target > 0 ? desired->target : 1; /* the canary of a pool of 0 workers */
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

/* From SIGQUIT or SIGABRT to SIGKILL. */
static uint64_t escalation_ms(const struct pfi_policy *policy)
{
	return policy->abort_timeout_ms ? policy->abort_timeout_ms : PFI_ESCALATION_MS;
}

/* How long the state of a slot may last, 0: no limit. */
static uint64_t time_limit_ms(const struct pfi_policy *policy, const struct pfi_slot *slot)
{
	switch (slot->state) {
	case PFI_STATE_BOOTING:
		return policy->boot_timeout_ms;
	case PFI_STATE_DRAINING:
		return policy->graceful_timeout_ms;
	case PFI_STATE_QUITTING:
	case PFI_STATE_ABORTING:
		return escalation_ms(policy);
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
		return PFI_CAUSE_NONE; /* an escalation keeps the first cause */
	}
}

/* True if a request has exceeded its deadline, and an event was ordered. The deadlines of a worker that is not ready,
 * or that is being terminated, have no effect. */
static bool check_deadlines(struct plan *plan, uint32_t i, const struct pfi_slot *slot)
{
	if (slot->state != PFI_STATE_SERVING && slot->state != PFI_STATE_DUMPING &&
	    slot->state != PFI_STATE_DRAINING)
		return false;
	if (slot->expired != 0 && plan->now_ms < slot->grace_until_ms) {
		wake_at(plan, slot->grace_until_ms);
		return false;
	}
	/* It accepts no more connections, and all that it still works on is stuck. */
	const bool is_done = slot->state == PFI_STATE_DRAINING && slot->busy <= slot->expired &&
			     slot->other_connections == 0;

	if (slot->expired != 0 && (slot->usable == 0 || is_done)) {
		order(plan, PFI_EVENT_STUCK, PFI_CAUSE_REQUEST_TIMEOUT, i, slot->generation);
		return true;
	}
	if (slot->undumped != 0) {
		order(plan, PFI_EVENT_TIMEOUT, PFI_CAUSE_REQUEST_TIMEOUT, i, slot->generation);
		return true;
	}
	wake_at(plan, slot->next_ms);
	/* No event reports that its other threads are done. */
	if (slot->expired != 0 && slot->state == PFI_STATE_DRAINING)
		wake_at(plan, plan->now_ms + PFI_STUCK_POLL_MS);
	return false;
}

/* The time limits of all workers. True if one of them has passed. */
static bool check_time_limits(struct plan *plan)
{
	bool missed = false;

	for (uint32_t i = 0; i < plan->worker_table->count; i++) {
		const struct pfi_slot *const slot = &plan->worker_table->slots[i];
		const uint64_t at_ms = pfi_deadline_after_ms(slot->since_ms, time_limit_ms(plan->policy, slot));

		if (slot->state == PFI_STATE_EMPTY)
			continue;
		if (plan->now_ms < plan->desired->grace_until_ms) {
			wake_at(plan, plan->desired->grace_until_ms);
		} else if (pfi_deadline_is_past(at_ms, plan->now_ms)) {
			order(plan, PFI_EVENT_OVERDUE, overdue_cause(slot->state), i, slot->generation);
			missed = true;
		} else {
			wake_at(plan, at_ms);
			missed |= check_deadlines(plan, i, slot);
		}
	}
	return missed;
}

static void stop_all(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->worker_table->count; i++) {
		const struct pfi_slot *const slot = &plan->worker_table->slots[i];
		const bool can_quit = slot->state == PFI_STATE_DUMPING || slot->state == PFI_STATE_DRAINING;

		if (plan->desired->quit && (can_quit || pfi_slot_is_current(slot)))
			order(plan, PFI_EVENT_QUIT, PFI_CAUSE_STOP, i, slot->generation);
		else if (pfi_slot_is_current(slot))
			order(plan, PFI_EVENT_RETIRE, PFI_CAUSE_STOP, i, slot->generation);
		else if (slot->state == PFI_STATE_DUMPING) /* its cause, the request timeout, stays */
			order(plan, PFI_EVENT_RETIRE, PFI_CAUSE_NONE, i, slot->generation);
	}
}

static bool is_outdated(const struct plan *plan, const struct pfi_slot *slot)
{
	return slot->generation != plan->desired->generation || slot->wants_retire;
}

/* Whether this call has ordered an event for slot `i`. */
static bool has_order(const struct plan *plan, uint32_t i)
{
	for (uint32_t n = 0; n < plan->orders->count; n++) {
		if (plan->orders->list[n].slot == i)
			return true;
	}
	return false;
}

/* The worker in `state` to drain first: that of the oldest generation, and of these the oldest process. */
static uint32_t pick(const struct plan *plan, enum pfi_state state, bool outdated)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < plan->worker_table->count; i++) {
		const struct pfi_slot *const slot = &plan->worker_table->slots[i];
		const struct pfi_slot *const rival = best == UINT32_MAX ? NULL : &plan->worker_table->slots[best];

		if (slot->state != state || is_outdated(plan, slot) != outdated || i == plan->desired->canary ||
		    has_order(plan, i))
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

	if (i == UINT32_MAX) /* the list of orders was full, so that the counts are too high */
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

/* With surge 0 a worker exits before its replacement starts: if the replacement is delayed, so is the drain. */
static bool waits_for_backoff(struct plan *plan)
{
	if (surge_of(plan->policy) > 0 || plan->now_ms >= plan->desired->earliest_ms)
		return false;
	wake_at(plan, plan->desired->earliest_ms);
	return true;
}

/* With surge 0 the canary takes the place of a worker: of a booting one, if there is any. */
static void vacate_for_canary(struct plan *plan, struct pfi_worker_counts *counts)
{
	const uint32_t ready = counts->current_ready + counts->outdated_ready;

	if (plan->vacant > 0 || counts->terminating > 0 || counts->outdated_booting > 0)
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

/* Workers with a stuck thread serve until their replacements are ready. */
static void drain_dumping(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->worker_table->count; i++) {
		if (plan->worker_table->slots[i].state == PFI_STATE_DUMPING)
			order(plan, PFI_EVENT_RETIRE, PFI_CAUSE_NONE, i, plan->worker_table->slots[i].generation);
	}
}

/* Drain the workers that are too many: first booting ones, and ready ones only down to `floor`. Leaves in `counts`
 * those that stay. */
static void remove_surplus(struct plan *plan, struct pfi_worker_counts *counts)
{
	const struct pfi_desired_state *const desired = plan->desired;
	const uint32_t short_max = desired->keep_outdated ? 0 : plan->policy->max_unavailable;
	const uint32_t floor = desired->target > short_max ? desired->target - short_max : 0;

	for (; counts->outdated_booting > 0; counts->outdated_booting--)
		retire(plan, PFI_STATE_BOOTING, true, PFI_CAUSE_RELOAD);
	while (counts->current_booting > 0 &&
	       counts->current_ready + counts->current_booting > desired->target) {
		retire(plan, PFI_STATE_BOOTING, false, PFI_CAUSE_SCALE);
		counts->current_booting--;
	}
	for (; counts->outdated_ready > 0 && counts->current_ready + counts->outdated_ready > floor &&
	       !waits_for_backoff(plan);
	     counts->outdated_ready--)
		retire(plan, PFI_STATE_SERVING, true, PFI_CAUSE_RELOAD);
	for (; counts->current_ready > desired->target; counts->current_ready--)
		retire(plan, PFI_STATE_SERVING, false, PFI_CAUSE_SCALE);
	/* With surge 0 a replacement starts only after the stuck worker has exited. */
	if (counts->current_ready + counts->outdated_ready >= desired->target || surge_of(plan->policy) == 0)
		drain_dumping(plan);
}

static void start_missing(struct plan *plan, const struct pfi_worker_counts *counts)
{
	const struct pfi_desired_state *const desired = plan->desired;
	const struct pfi_policy *const policy = plan->policy;
	const uint32_t surge = surge_of(policy);
	const uint32_t current = counts->current_ready + counts->current_booting;
	const uint32_t staying = current + counts->outdated_ready;
	const uint32_t counted = desired->keep_outdated ? staying : current;
	uint32_t missing = desired->target > counted ? desired->target - counted : 0;
	const uint32_t capacity = desired->target + surge > staying ? desired->target + surge - staying : 0;

	if (missing > capacity)
		missing = capacity;
	if (missing > desired->starts_max)
		missing = desired->starts_max;
	if (missing == 0)
		return;
	if (plan->now_ms < desired->earliest_ms) {
		wake_at(plan, desired->earliest_ms);
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
	if (check_time_limits(&plan)) {
		ret->more = true; /* the other orders depend on the new states */
		return;
	}
	if (desired->drain || desired->quit) {
		stop_all(&plan);
		return;
	}

	struct pfi_worker_counts counts = pfi_worker_table_count(worker_table, desired->generation, desired->canary);

	if (desired->probation != 0 && desired->canary == UINT32_MAX && !start(&plan, desired->probation))
		vacate_for_canary(&plan, &counts);
	remove_surplus(&plan, &counts);
	start_missing(&plan, &counts);
}
