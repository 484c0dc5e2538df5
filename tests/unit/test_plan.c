/*
 * One plan at a time, over rosters as no history would make them: every promise
 * that a single plan can keep or break, whatever came before.
 */
#include "model/deadline.h"
#include "model/plan.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>

enum { SEATS = 9, PLANS = 400000, NOW_MS = 1000000 };

static struct pfi_slot slots[SEATS];
static const struct pfi_worker_table worker_table = { slots, SEATS };
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

/* A moment that lies `spread` around now. */
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
	slot->late = slot->busy > 0 && pick(4) == 0 ? 1 + pick(slot->busy) : 0;
	slot->unseen = slot->late > 0 ? pick(slot->late + 1) : 0;
	slot->able = pick(3);
	slot->others = pick(2);
	slot->next_ms = slot->busy > slot->late ? NOW_MS + 1 + pick(1000) : 0;
}

static void make_case(void)
{
	for (int i = 0; i < SEATS; i++)
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
		.canary = pick(2) ? UINT32_MAX : pick(SEATS),
		.not_before_ms = pick(3) ? 0 : around(500),
		.grace_until_ms = pick(8) ? 0 : around(500),
		.starts_max = pick(4) ? UINT32_MAX : pick(2),
		.one_by_one = pick(4) == 0,
		.hold = pick(3) == 0,
		.leave = pick(20) == 0,
		.quit = pick(20) == 0,
	};
	if (desired.hold && pick(2))
		desired.probation = 5;
}

static bool is_ready(uint32_t i)
{
	return slots[i].state == PFI_STATE_SERVING;
}

static uint32_t count(bool (*is)(uint32_t slot))
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SEATS; i++)
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
		promise(found == NULL); /* one word for each */
		found = &orders.list[i];
	}
	return found;
}

static uint64_t patience_ms(const struct pfi_slot *slot)
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

/* It was asked to leave, has closed its listeners, and has nothing left but what is stuck. */
static bool is_done(const struct pfi_slot *slot)
{
	return slot->state == PFI_STATE_DRAINING && slot->busy <= slot->late && slot->others == 0;
}

static bool is_judged(const struct pfi_slot *slot)
{
	return (slot->state == PFI_STATE_SERVING || slot->state == PFI_STATE_DUMPING || slot->state == PFI_STATE_DRAINING) &&
	       slot->late > 0 && NOW_MS >= slot->grace_until_ms;
}

/* Who has to be ended is, and nobody else. True when that is all there is in this plan. */
static bool check_ladder(void)
{
	bool missed = false;

	for (uint32_t i = 0; i < SEATS; i++) {
		const struct pfi_slot *const slot = &slots[i];
		const struct pfi_order *const order = order_for(i);
		const bool is_spared = NOW_MS < desired.grace_until_ms || slot->state == PFI_STATE_EMPTY;
		const bool overdue = !is_spared && NOW_MS - slot->since_ms >= patience_ms(slot);
		const bool stuck = !is_spared && !overdue && is_judged(slot) && (slot->able == 0 || is_done(slot));
		const bool late = !is_spared && !overdue && is_judged(slot) && !stuck && slot->unseen > 0;

		promise((order != NULL && order->event == PFI_EVENT_OVERDUE) == overdue);
		promise((order != NULL && order->event == PFI_EVENT_STUCK) == stuck);
		promise((order != NULL && order->event == PFI_EVENT_TIMEOUT) == late);
		missed |= overdue || stuck || late;
		/* It is looked at again no later than what it is waited for. */
		if (!missed && slot->next_ms != 0 && is_ready(i) && !is_spared && NOW_MS >= slot->grace_until_ms)
			promise(orders.wake_ms != 0 && orders.wake_ms <= slot->next_ms);
		if (!is_spared && !overdue && patience_ms(slot) != UINT64_MAX)
			promise(orders.wake_ms != 0 && orders.wake_ms <= slot->since_ms + patience_ms(slot));
	}
	for (uint32_t i = 0; i < SEATS && !missed; i++) {
		/* Nothing tells when the other threads of a stuck one are done. */
		if (slots[i].state == PFI_STATE_DRAINING && slots[i].late > 0 && NOW_MS >= desired.grace_until_ms &&
		    NOW_MS >= slots[i].grace_until_ms)
			promise(orders.wake_ms != 0 && orders.wake_ms <= NOW_MS + 100);
	}
	promise(!missed || orders.more); /* the rest is planned from what it leads to */
	return missed;
}

static void check_everybody_leaves(void)
{
	for (uint32_t i = 0; i < SEATS; i++) {
		const struct pfi_order *const order = order_for(i);
		const bool goes = is_staying(i) || slots[i].state == PFI_STATE_DUMPING;

		promise((order != NULL) == (goes || (desired.quit && slots[i].state == PFI_STATE_DRAINING)));
		promise(order == NULL || order->event == (desired.quit ? PFI_EVENT_QUIT : PFI_EVENT_RETIRE));
	}
}

static uint32_t surge_of(void)
{
	return policy.surge + policy.max_unavailable == 0 ? 1 : policy.surge;
}

static uint32_t count_alive(void)
{
	uint32_t alive = 0;

	for (uint32_t i = 0; i < SEATS; i++)
		alive += slots[i].state != PFI_STATE_EMPTY;
	return alive;
}

/* Without a surge one worker leaves for the canary. */
static bool makes_way(void)
{
	return surge_of() == 0 && desired.probation != 0 && desired.canary == UINT32_MAX &&
	       count_alive() >= (desired.target ? desired.target : 1);
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
	/* Without a surge nobody is started beside the process that he replaces. */
	promise(surge_of() > 0 || starts + probations == 0 || count_alive() + starts + probations <= (desired.target ? desired.target : 1));
	promise(probations == 0 || desired.canary == UINT32_MAX);
	promise(probations <= 1);
	promise(starts == 0 || NOW_MS >= desired.not_before_ms);
	promise(starts <= desired.starts_max);
	if (desired.one_by_one)
		promise(starts + (starts > 0 ? count(is_current_booting) : 0) <= 1);
	*ret_starts = starts;
}

/* The oldest generation goes first, and then the oldest process. */
static void check_turn_of(uint32_t told)
{
	const struct pfi_slot *const slot = &slots[told];

	for (uint32_t i = 0; i < SEATS; i++) {
		const struct pfi_slot *const other = &slots[i];

		if (other->state != slot->state || i == desired.canary || is_current(i) != is_current(told) || order_for(i) != NULL)
			continue;
		promise(other->generation > slot->generation ||
			(other->generation == slot->generation && other->spawned_ms >= slot->spawned_ms));
	}
}

static bool is_outdated_ready(uint32_t i)
{
	return is_ready(i) && !is_current(i);
}

static bool has_room(void)
{
	uint32_t empty = 0;

	for (uint32_t i = 0; i < SEATS; i++)
		empty += slots[i].state == PFI_STATE_EMPTY;
	return empty >= 2; /* one of them may be for a canary */
}

static void check_replacing(void)
{
	const uint32_t ready = count(is_ready);
	const uint32_t short_max = desired.hold && !makes_way() ? 0 : policy.max_unavailable;
	const uint32_t floor = desired.target > short_max ? desired.target - short_max : 0;
	const uint32_t surge = surge_of();
	uint32_t content_told = 0;
	uint32_t starts, ready_told = 0, told = 0;

	check_starts(&starts);
	for (uint32_t i = 0; i < orders.count; i++) {
		const struct pfi_order *const order = &orders.list[i];

		if (order->event == PFI_EVENT_FORKED || slots[order->slot].state == PFI_STATE_DUMPING)
			continue;
		promise(order->event == PFI_EVENT_RETIRE && is_staying(order->slot));
		promise(order->slot != desired.canary); /* it has the time that it was given */
		check_turn_of(order->slot);
		ready_told += is_ready(order->slot);
		told++;
		/* Nobody content and current leaves while there are no more than wanted. */
		if (is_current(order->slot) && count(is_current_staying) <= desired.target)
			content_told++;
	}
	promise(content_told <= makes_way());
	/* Who has a stuck thread serves until there are enough others. */
	for (uint32_t i = 0; i < SEATS; i++) {
		const struct pfi_order *const order = order_for(i);

		if (slots[i].state == PFI_STATE_DUMPING)
			promise((order != NULL && order->event == PFI_EVENT_RETIRE) ==
				(ready - ready_told >= desired.target || surge == 0));
	}
	/* While a reload is proved nobody is replaced. */
	if (desired.hold && starts > 0)
		promise(count(is_current_staying) + count(is_outdated_ready) + starts <= desired.target);
	/* Nobody who serves is missed. */
	promise(ready_told == 0 || ready - ready_told >= (ready < floor ? ready : floor));
	/* No more than wanted, and what replacing needs. */
	promise(starts == 0 || count(is_staying) - told + starts <= desired.target + surge);
	/* And where nobody stays, nothing is waited for and there is room: somebody is started. */
	if (count(is_staying) == 0 && desired.target > 0 && NOW_MS >= desired.not_before_ms &&
	    desired.starts_max > 0 && has_room() &&
	    (surge > 0 || count_alive() + (desired.probation != 0 && desired.canary == UINT32_MAX) < desired.target))
		promise(starts >= 1);
}

START_TEST(every_plan_keeps_what_it_promises)
{
	uint32_t missed = 0, left = 0, replaced = 0;

	for (round_number = 0; round_number < PLANS; round_number++) {
		make_case();
		pfi_plan(&policy, &desired, &worker_table, NOW_MS, &orders);
		for (uint32_t i = 0; i < orders.count; i++) {
			const struct pfi_order *const order = &orders.list[i];

			promise(order->slot < SEATS);
			promise(pfi_lifecycle_step(slots[order->slot].state, order->event).action != PFI_ACTION_REFUSE);
		}
		if (check_ladder()) {
			missed++;
		} else if (desired.leave || desired.quit) {
			left++;
			check_everybody_leaves();
		} else {
			replaced++;
			check_replacing();
		}
	}
	ck_assert_uint_gt(missed, PLANS / 50);
	ck_assert_uint_gt(left, PLANS / 500);
	ck_assert_uint_gt(replaced, PLANS / 50);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("plan");
	TCase *const tc = tcase_create("plan");

	tcase_set_timeout(tc, 0); /* meson has one */
	tcase_add_test(tc, every_plan_keeps_what_it_promises);
	suite_add_tcase(suite, tc);

	SRunner *const runner = srunner_create(suite);

	srunner_run_all(runner, CK_ENV);
	const int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
