/*
 * Single plans over random worker tables, including tables that no sequence of events
 * produces: every promise that one plan can keep or break.
 */
#include "model/deadline.h"
#include "model/plan.h"

#include "../support.h"

#include <inttypes.h>

enum { SLOTS = 9, PLANS = 400000, NOW_MS = 1000000 };

static struct pfi_slot slots[SLOTS];
static const struct pfi_worker_table worker_table = { slots, SLOTS };
static struct pfi_policy policy;
static struct pfi_desired_state desired;
static struct pfi_orders orders;
static uint64_t seed = 1;
static int round_number;

#define promise(condition)                                                       \
	do {                                                                     \
		if (!(condition))                                                \
			ck_abort_msg("plan %d: %s", round_number, #condition);   \
	} while (0)

static uint32_t pick(uint32_t below)
{
	return (uint32_t)(pfi_random(&seed) % below);
}

/* A time at most `spread` ms before or after now. */
static uint64_t around(uint32_t spread)
{
	return NOW_MS - spread + pick(2 * spread);
}

static void make_slot(struct pfi_slot *slot)
{
	*slot = (struct pfi_slot){
		.state = pick(3) ? (enum pfi_state)pick(3) : (enum pfi_state)pick(PFI_STATE_COUNT),
		.generation = 1 + pick(4),
		.incarnation = 1,
		.wants_retire = pick(6) == 0,
		.spawned_ms = NOW_MS - 5000 - pick(4),
		.since_ms = NOW_MS - pick(3000),
		.grace_until_ms = pick(4) ? 0 : around(2000),
	};
	slot->busy = pick(3);
	slot->expired = slot->busy > 0 && pick(4) == 0 ? 1 + pick(slot->busy) : 0;
	slot->undumped = slot->expired > 0 ? pick(slot->expired + 1) : 0;
	slot->usable = pick(3);
	slot->other_connections = pick(2);
	slot->next_ms = slot->busy > slot->expired ? NOW_MS + 1 + pick(1000) : 0;
}

static void make_case(void)
{
	for (int i = 0; i < SLOTS; i++)
		make_slot(&slots[i]);
	policy = (struct pfi_policy){
		.workers_max = 6,
		.surge = pick(3),
		.max_unavailable = pick(3),
		.boot_timeout_ms = pick(4) ? 3500 : 2000,
		.graceful_timeout_ms = pick(4) ? 3500 : 2000,
		.abort_timeout_ms = pick(3) ? 3500 : 2000,
	};
	desired = (struct pfi_desired_state){
		.target = pick(7),
		.generation = 1 + pick(4),
		.canary = pick(2) ? UINT32_MAX : pick(SLOTS),
		.earliest_ms = pick(3) ? 0 : around(500),
		.grace_until_ms = pick(8) ? 0 : around(500),
		.starts_max = pick(4) ? UINT32_MAX : pick(2),
		.one_by_one = pick(4) == 0,
		.keep_outdated = pick(3) == 0,
		.drain = pick(20) == 0,
		.quit = pick(20) == 0,
	};
	if (desired.keep_outdated && pick(2))
		desired.probation = 5;
}

static bool is_ready(uint32_t i)
{
	return slots[i].state == PFI_STATE_SERVING;
}

static uint32_t count(bool (*is)(uint32_t slot))
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		n += i != desired.canary && is(i);
	return n;
}

static bool is_staying(uint32_t i)
{
	return pfi_slot_is_current(&slots[i]);
}

static bool is_current(uint32_t i)
{
	return slots[i].generation == desired.generation && !slots[i].wants_retire;
}

static bool is_current_booting(uint32_t i)
{
	return slots[i].state == PFI_STATE_BOOTING && is_current(i);
}

static bool is_current_staying(uint32_t i)
{
	return is_staying(i) && is_current(i);
}

static const struct pfi_order *order_for(uint32_t slot)
{
	const struct pfi_order *found = NULL;

	for (uint32_t i = 0; i < orders.count; i++) {
		if (orders.list[i].slot != slot)
			continue;
		promise(found == NULL); /* one order per slot */
		found = &orders.list[i];
	}
	return found;
}

static uint64_t timeout_ms(const struct pfi_slot *slot)
{
	switch (slot->state) {
	case PFI_STATE_BOOTING:
		return policy.boot_timeout_ms;
	case PFI_STATE_DRAINING:
		return policy.graceful_timeout_ms;
	case PFI_STATE_QUITTING:
	case PFI_STATE_ABORTING:
		return policy.abort_timeout_ms;
	default:
		return slot->state == PFI_STATE_KILLING ? 10000 : UINT64_MAX;
	}
}

/* A draining worker of which only stuck requests are stopped. */
static bool has_only_stuck_requests(const struct pfi_slot *slot)
{
	return slot->state == PFI_STATE_DRAINING && slot->busy <= slot->expired && slot->other_connections == 0;
}

static bool has_expired(const struct pfi_slot *slot)
{
	return (slot->state == PFI_STATE_SERVING || slot->state == PFI_STATE_DUMPING || slot->state == PFI_STATE_DRAINING) &&
	       slot->expired > 0 && NOW_MS >= slot->grace_until_ms;
}

/* A worker is aborted or dumped if and only if it has to be. True: the plan has no other orders. */
static bool check_ladder(void)
{
	bool aborted = false;

	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct pfi_slot *const slot = &slots[i];
		const struct pfi_order *const order = order_for(i);
		const bool has_grace = NOW_MS < desired.grace_until_ms || slot->state == PFI_STATE_EMPTY;
		const bool overdue = !has_grace && NOW_MS - slot->since_ms >= timeout_ms(slot);
		const bool stuck = !has_grace && !overdue && has_expired(slot) &&
		                   (slot->usable == 0 || has_only_stuck_requests(slot));
		const bool late = !has_grace && !overdue && has_expired(slot) && !stuck && slot->undumped > 0;

		promise((order != NULL && order->event == PFI_EVENT_OVERDUE) == overdue);
		promise((order != NULL && order->event == PFI_EVENT_STUCK) == stuck);
		promise((order != NULL && order->event == PFI_EVENT_TIMEOUT) == late);
		aborted |= overdue || stuck || late;
		/* The next plan is no later than the first deadline or timeout. */
		if (!aborted && slot->next_ms != 0 && is_ready(i) && !has_grace && NOW_MS >= slot->grace_until_ms)
			promise(orders.wake_ms != 0 && orders.wake_ms <= slot->next_ms);
		if (!has_grace && !overdue && timeout_ms(slot) != UINT64_MAX)
			promise(orders.wake_ms != 0 && orders.wake_ms <= slot->since_ms + timeout_ms(slot));
	}
	for (uint32_t i = 0; i < SLOTS && !aborted; i++) {
		/* No event reports that the other threads of a stuck worker are idle. */
		if (slots[i].state == PFI_STATE_DRAINING && slots[i].expired > 0 && NOW_MS >= desired.grace_until_ms &&
		    NOW_MS >= slots[i].grace_until_ms)
			promise(orders.wake_ms != 0 && orders.wake_ms <= NOW_MS + 100);
	}
	promise(!aborted || orders.more); /* the rest is planned after these orders */
	return aborted;
}

static void check_stop(void)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct pfi_order *const order = order_for(i);
		const bool leaves = is_staying(i) || slots[i].state == PFI_STATE_DUMPING;

		promise((order != NULL) == (leaves || (desired.quit && slots[i].state == PFI_STATE_DRAINING)));
		promise(order == NULL || order->event == (desired.quit ? PFI_EVENT_QUIT : PFI_EVENT_RETIRE));
	}
}

static uint32_t surge_of(void)
{
	return policy.surge + policy.max_unavailable == 0 ? 1 : policy.surge;
}

static uint32_t count_processes(void)
{
	uint32_t alive = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		alive += slots[i].state != PFI_STATE_EMPTY;
	return alive;
}

/* Without a surge a worker leaves before the canary starts. */
static bool leaves_for_canary(void)
{
	return surge_of() == 0 && desired.probation != 0 && desired.canary == UINT32_MAX &&
	       count_processes() >= (desired.target ? desired.target : 1);
}

static void check_starts(uint32_t *ret_starts)
{
	uint32_t starts = 0, probations = 0;

	for (uint32_t i = 0; i < orders.count; i++) {
		const struct pfi_order *const order = &orders.list[i];

		if (order->event != PFI_EVENT_FORKED)
			continue;
		promise(slots[order->slot].state == PFI_STATE_EMPTY);
		promise(order->generation == desired.generation || order->generation == desired.probation);
		if (order->generation == desired.probation && desired.probation != 0)
			probations++;
		else
			starts++;
	}
	/* Without a surge no worker is started before the process that it replaces has exited. */
	promise(surge_of() > 0 || starts + probations == 0 ||
	        count_processes() + starts + probations <= (desired.target ? desired.target : 1));
	promise(probations == 0 || desired.canary == UINT32_MAX);
	promise(probations <= 1);
	promise(starts == 0 || NOW_MS >= desired.earliest_ms);
	promise(starts <= desired.starts_max);
	if (desired.one_by_one)
		promise(starts + (starts > 0 ? count(is_current_booting) : 0) <= 1);
	*ret_starts = starts;
}

/* The oldest generation leaves first, and then the oldest process. */
static void check_oldest_first(uint32_t retired)
{
	const struct pfi_slot *const slot = &slots[retired];

	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct pfi_slot *const other = &slots[i];

		if (other->state != slot->state || i == desired.canary || is_current(i) != is_current(retired) ||
		    order_for(i) != NULL)
			continue;
		promise(other->generation > slot->generation ||
			(other->generation == slot->generation && other->spawned_ms >= slot->spawned_ms));
	}
}

static bool is_outdated_ready(uint32_t i)
{
	return is_ready(i) && !is_current(i);
}

static bool has_free_slot(void)
{
	uint32_t empty = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		empty += slots[i].state == PFI_STATE_EMPTY;
	return empty >= 2; /* one may be for a canary */
}

static void check_replacing(void)
{
	const uint32_t ready = count(is_ready);
	const uint32_t short_max = desired.keep_outdated && !leaves_for_canary() ? 0 : policy.max_unavailable;
	const uint32_t floor = desired.target > short_max ? desired.target - short_max : 0;
	const uint32_t surge = surge_of();
	uint32_t current_retired = 0;
	uint32_t starts, ready_retired = 0, retired = 0;

	check_starts(&starts);
	for (uint32_t i = 0; i < orders.count; i++) {
		const struct pfi_order *const order = &orders.list[i];

		if (order->event == PFI_EVENT_FORKED || slots[order->slot].state == PFI_STATE_DUMPING)
			continue;
		promise(order->event == PFI_EVENT_RETIRE && is_staying(order->slot));
		promise(order->slot != desired.canary); /* it stays for the canary time */
		check_oldest_first(order->slot);
		ready_retired += is_ready(order->slot);
		retired++;
		/* A current worker leaves only if there are more than wanted. */
		if (is_current(order->slot) && count(is_current_staying) <= desired.target)
			current_retired++;
	}
	promise(current_retired <= leaves_for_canary());
	/* A worker with a stuck thread serves until enough others do. */
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct pfi_order *const order = order_for(i);

		if (slots[i].state == PFI_STATE_DUMPING)
			promise((order != NULL && order->event == PFI_EVENT_RETIRE) ==
				(ready - ready_retired >= desired.target || surge == 0));
	}
	/* During the canary time no worker is replaced. */
	if (desired.keep_outdated && starts > 0)
		promise(count(is_current_staying) + count(is_outdated_ready) + starts <= desired.target);
	/* Enough workers remain ready. */
	promise(ready_retired == 0 || ready - ready_retired >= (ready < floor ? ready : floor));
	/* The number of workers exceeds the target by the surge at most. */
	promise(starts == 0 || count(is_staying) - retired + starts <= desired.target + surge);
	/* If every worker leaves, no back-off holds and a slot is free, a worker is started. */
	if (count(is_staying) == 0 && desired.target > 0 && NOW_MS >= desired.earliest_ms &&
	    desired.starts_max > 0 && has_free_slot() &&
	    (surge > 0 || count_processes() + (desired.probation != 0 && desired.canary == UINT32_MAX) < desired.target))
		promise(starts >= 1);
}

START_TEST(every_plan_keeps_every_promise)
{
	uint32_t aborted = 0, stopped = 0, replaced = 0;

	for (round_number = 0; round_number < PLANS; round_number++) {
		make_case();
		pfi_plan(&policy, &desired, &worker_table, NOW_MS, &orders);
		for (uint32_t i = 0; i < orders.count; i++) {
			const struct pfi_order *const order = &orders.list[i];

			promise(order->slot < SLOTS);
			promise(pfi_lifecycle_step(slots[order->slot].state, order->event).action != PFI_ACTION_REFUSE);
		}
		if (check_ladder()) {
			aborted++;
		} else if (desired.drain || desired.quit) {
			stopped++;
			check_stop();
		} else {
			replaced++;
			check_replacing();
		}
	}
	ck_assert_uint_gt(aborted, PLANS / 50);
	ck_assert_uint_gt(stopped, PLANS / 500);
	ck_assert_uint_gt(replaced, PLANS / 50);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("plan");
	TCase *const tc = new_case(suite, "plan");

	tcase_set_timeout(tc, 0); /* meson has one */
	tcase_add_test(tc, every_plan_keeps_every_promise);
	return run_suite(suite);
}
