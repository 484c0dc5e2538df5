/* The phases of the supervisor, one by one; test_simulation.c runs random sequences. */
#include "model/deadline.h"
#include "model/supervisor.h"

#include <prefork/error.h>

#include "../support.h"

enum { NOW_MS = 1000000, SLOTS = 4 };

static struct pfi_slot slots[SLOTS];
static struct pfi_pool pool;
static struct pfi_supervisor supervisor;

static void create(void)
{
	memset(slots, 0, sizeof slots);
	pool = (struct pfi_pool){
		.policy = { .workers_max = 2,
			    .surge = 1,
			    .boot_timeout_ms = 60000,
			    .graceful_timeout_ms = 30000,
			    .boot = { 5, 60000, 500, 30000 },
			    .run = { 100, 10000, 500, 30000 } },
		.worker_table = { slots, SLOTS },
		.target = 2,
	};
	pfi_supervisor_init(&supervisor, &pool, 1, 1);
	supervisor.linger_ms = 1200;
	supervisor.linger_max_ms = 30000;
	pool.pending_listeners = 1; /* a connection is pending in every test but those that clear it */
	pfi_supervisor_forked(&supervisor, 0, 0, 1, NOW_MS);
	pfi_supervisor_forked(&supervisor, 0, 1, 1, NOW_MS);
}

static bool forks(uint64_t now_ms)
{
	struct pfi_orders orders;

	pfi_supervisor_plan(&supervisor, 0, now_ms, &orders);
	for (uint32_t i = 0; i < orders.count; i++)
		if (orders.list[i].event == PFI_EVENT_FORKED)
			return true;
	return false;
}

/* An application that cannot be loaded is not started again to serve the backlog. */
START_TEST(after_a_fatal_error_without_ready_workers_the_backlog_is_dropped)
{
	create();
	pfi_supervisor_exited(&supervisor, 0, 0, PREFORK_REASON_APP, 0, NOW_MS + 10);
	ck_assert_int_eq(supervisor.phase, PFI_PHASE_REFUSING);
	ck_assert_int_eq(pfi_supervisor_turn(&supervisor, NOW_MS + 10).phase, PFI_PHASE_DRAINING);
	ck_assert(!forks(NOW_MS + 10));
	pfi_supervisor_exited(&supervisor, 0, 1, PREFORK_REASON_APP, 0, NOW_MS + 20);
	ck_assert(pfi_supervisor_turn(&supervisor, NOW_MS + 20).finished);
	ck_assert_int_eq(supervisor.result, PREFORK_EAPP);
}
END_TEST

START_TEST(after_a_fatal_error_ready_workers_serve_the_backlog)
{
	create();
	pfi_supervisor_send_event(&supervisor, 0, 1, PFI_EVENT_READY, NOW_MS + 5);
	pool.ever_ready = false; /* as if another pool had failed */
	pfi_supervisor_exited(&supervisor, 0, 0, PREFORK_REASON_APP, 0, NOW_MS + 10);
	ck_assert_int_eq(supervisor.result, PREFORK_EAPP);
	ck_assert_int_eq(pfi_supervisor_turn(&supervisor, NOW_MS + 10).phase, PFI_PHASE_REFUSING);
	pool.pending_listeners = 0;
	ck_assert_int_eq(pfi_supervisor_turn(&supervisor, NOW_MS + 1300).phase, PFI_PHASE_DRAINING);
}
END_TEST

START_TEST(a_graceful_stop_replaces_crashed_workers_while_connections_are_pending)
{
	create();
	pfi_supervisor_send_event(&supervisor, 0, 0, PFI_EVENT_READY, NOW_MS + 5);
	pfi_supervisor_send_event(&supervisor, 0, 1, PFI_EVENT_READY, NOW_MS + 5);
	(void)pfi_supervisor_stop(&supervisor, true, 0, NOW_MS + 10);
	pfi_supervisor_exited(&supervisor, 0, 0, PREFORK_REASON_KILLED, 1, NOW_MS + 20);
	pfi_supervisor_exited(&supervisor, 0, 1, PREFORK_REASON_KILLED, 1, NOW_MS + 20);
	ck_assert_int_eq(pfi_supervisor_turn(&supervisor, NOW_MS + 20).phase, PFI_PHASE_REFUSING);
	ck_assert(forks(NOW_MS + 20));
}
END_TEST

/* Connections are pending, no worker runs, and no worker can start: the stop takes the drain time. */
static const struct {
	const char *why;
	bool was_ready, is_scaled, boots_fail;
} without_ready[] = {
	{ "scaled to 0", true, true, false },
	{ "the last boots failed", true, false, true },
	{ "no worker was ever ready", false, false, true },
};

START_TEST(a_stop_without_ready_workers_takes_the_drain_time)
{
	create();
	pool.policy.boot_failure_policy = PFI_BOOT_FAILURE_DEGRADE;
	for (uint32_t slot = 0; slot < 2; slot++) {
		if (without_ready[_i].was_ready)
			pfi_supervisor_send_event(&supervisor, 0, slot, PFI_EVENT_READY, NOW_MS + 5);
		pfi_supervisor_exited(&supervisor, 0, slot, PREFORK_REASON_KILLED, 1, NOW_MS + 10);
	}
	if (without_ready[_i].is_scaled)
		ck_assert_int_eq(pfi_supervisor_scale(&supervisor, 0, 0), 0);
	if (without_ready[_i].boots_fail && without_ready[_i].was_ready) {
		pfi_supervisor_forked(&supervisor, 0, 0, 1, NOW_MS + 20);
		pfi_supervisor_exited(&supervisor, 0, 0, PREFORK_REASON_BOOT, 0, NOW_MS + 30);
	}
	(void)pfi_supervisor_stop(&supervisor, true, 0, NOW_MS + 40);
	ck_assert_msg(!forks(NOW_MS + 5000), "%s", without_ready[_i].why);
	ck_assert_int_eq(pfi_supervisor_turn(&supervisor, NOW_MS + 40 + 1199).phase, PFI_PHASE_REFUSING);

	const struct pfi_turn turn = pfi_supervisor_turn(&supervisor, NOW_MS + 40 + 1200);

	ck_assert_msg(turn.phase == PFI_PHASE_DRAINING && turn.finished, "%s", without_ready[_i].why);
}
END_TEST

/* SIGTERM to the process group: the workers drain without a message of the arbiter, and are not replaced. */
static const struct {
	bool queued, stays, was_ready;
	uint32_t forks;
} stops[] = {
	{ true, false, true, 1 },   /* one, although two are wanted */
	{ false, false, true, 0 },  /* no connection is pending     */
	{ true, true, true, 0 },    /* another worker serves        */
	{ true, false, false, 0 },  /* no worker has ever booted    */
};

START_TEST(a_stop_without_workers_starts_one_for_pending_connections)
{
	struct pfi_orders orders;
	uint32_t starts = 0;

	create();
	pool.policy.boot_failure_policy = PFI_BOOT_FAILURE_DEGRADE;
	for (uint32_t slot = 0; slot < 2 && stops[_i].was_ready; slot++)
		pfi_supervisor_send_event(&supervisor, 0, slot, PFI_EVENT_READY, NOW_MS + 5);
	pool.pending_listeners = stops[_i].queued;
	(void)pfi_supervisor_stop(&supervisor, true, 0, NOW_MS + 10);
	pfi_supervisor_send_event(&supervisor, 0, 0, PFI_EVENT_RETIRE, NOW_MS + 20);
	if (!stops[_i].stays)
		pfi_supervisor_send_event(&supervisor, 0, 1, PFI_EVENT_RETIRE, NOW_MS + 20);
	(void)pfi_supervisor_turn(&supervisor, NOW_MS + 20);
	pfi_supervisor_plan(&supervisor, 0, NOW_MS + 20, &orders);
	for (uint32_t i = 0; i < orders.count; i++)
		starts += orders.list[i].event == PFI_EVENT_FORKED;
	ck_assert_uint_eq(starts, stops[_i].forks);
}
END_TEST

/* While connections are pending, the stop checks the queue every 50 ms, until linger_max_ms. */
START_TEST(a_stop_waits_for_pending_connections_until_its_limit)
{
	create();
	(void)pfi_supervisor_stop(&supervisor, true, 0, NOW_MS);
	ck_assert_uint_eq(pfi_supervisor_turn(&supervisor, NOW_MS + 1).wake_ms, NOW_MS + 1200);

	const struct pfi_turn turn = pfi_supervisor_turn(&supervisor, NOW_MS + 1200);
	ck_assert_int_eq(turn.phase, PFI_PHASE_REFUSING);
	ck_assert_uint_gt(turn.wake_ms, NOW_MS + 1200);
	ck_assert_uint_le(turn.wake_ms, NOW_MS + 1200 + 50);
	if (_i == 0)
		pool.pending_listeners = 0;
	const uint64_t end_ms = NOW_MS + (_i == 0 ? 1300 : 30000);
	ck_assert_int_eq(pfi_supervisor_turn(&supervisor, end_ms - 1).phase, _i == 0 ? PFI_PHASE_DRAINING : PFI_PHASE_REFUSING);
	ck_assert_int_eq(pfi_supervisor_turn(&supervisor, end_ms).phase, PFI_PHASE_DRAINING);
}
END_TEST

START_TEST(a_late_turn_starts_one_grace)
{
	create();
	(void)pfi_supervisor_turn(&supervisor, NOW_MS);
	pfi_supervisor_set_next_turn(&supervisor, NOW_MS + 10);
	(void)pfi_supervisor_turn(&supervisor, NOW_MS + 5000);
	const uint64_t until_ms = supervisor.grace_until_ms;
	ck_assert_uint_gt(until_ms, NOW_MS + 5000);
	(void)pfi_supervisor_turn(&supervisor, NOW_MS + 6000);
	ck_assert_uint_eq(supervisor.grace_until_ms, until_ms);
}
END_TEST

START_TEST(a_second_drain_request_does_not_extend_the_timeout)
{
	create();
	(void)pfi_supervisor_send_event(&supervisor, 0, 0, PFI_EVENT_RETIRE, NOW_MS + 10);
	(void)pfi_supervisor_send_event(&supervisor, 0, 0, PFI_EVENT_RETIRE, NOW_MS + 20000);
	ck_assert_uint_eq(slots[0].since_ms, NOW_MS + 10);
}
END_TEST

/* A single exit starts no back-off, unless the worker reports a shortage. */
START_TEST(a_single_crash_is_replaced_at_once_and_a_sick_worker_after_a_pause)
{
	create();
	pfi_supervisor_send_event(&supervisor, 0, 0, PFI_EVENT_READY, NOW_MS + 5);
	pfi_supervisor_send_event(&supervisor, 0, 1, PFI_EVENT_READY, NOW_MS + 5);
	pfi_supervisor_exited(&supervisor, 0, 0, _i == 0 ? PREFORK_REASON_CRASHED : PREFORK_REASON_SICK, (uint64_t)_i / 2,
			    NOW_MS + 10);
	(void)pfi_supervisor_turn(&supervisor, NOW_MS + 10); /* the worker that serves does not end the back-off */
	ck_assert_int_eq(forks(NOW_MS + 10), _i == 0);
	(void)pfi_supervisor_turn(&supervisor, NOW_MS + 10 + 1000);
	ck_assert(forks(NOW_MS + 10 + 1000));
}
END_TEST

static void become_ready(uint32_t slot, uint64_t now_ms)
{
	pfi_supervisor_forked(&supervisor, 0, slot, 1, now_ms);
	pfi_supervisor_send_event(&supervisor, 0, slot, PFI_EVENT_READY, now_ms);
}

/* SIGKILL every 10 ms, until the back-off has its maximum. */
static uint64_t kill_until_backoff_is_longest(uint64_t now_ms)
{
	pool.policy.run.failures_max = 3;
	pool.policy.healthy_ms = 1000;
	for (int i = 0; i < 20; i++, now_ms += 10) {
		become_ready(0, now_ms);
		pfi_supervisor_exited(&supervisor, 0, 0, PREFORK_REASON_KILLED, 0, now_ms + 5);
	}
	return now_ms;
}

/* While another worker serves, the back-off holds; a pool without workers starts one within 600 ms. */
static const struct {
	enum prefork_reason reason;
	bool boots, another;
	uint64_t least_ms, most_ms; /* from the last start */
} empty_pools[] = {
	{ PREFORK_REASON_KILLED, false, false, 400, 600 },
	{ PREFORK_REASON_KILLED, true, false, 400, 600 },
	{ PREFORK_REASON_KILLED, false, true, 5000, 30000 },
	{ PREFORK_REASON_CRASHED, false, false, 5000, 30000 },
	{ PREFORK_REASON_SICK, false, false, 5000, 30000 },
};

START_TEST(a_pool_without_workers_starts_one_at_once)
{
	uint64_t now_ms;

	create();
	pool.policy.boot_failure_policy = PFI_BOOT_FAILURE_DEGRADE;
	become_ready(2, NOW_MS);
	pfi_supervisor_exited(&supervisor, 0, 0, PREFORK_REASON_KILLED, 0, NOW_MS + 1);
	pfi_supervisor_exited(&supervisor, 0, 1, PREFORK_REASON_KILLED, 0, NOW_MS + 1);
	now_ms = kill_until_backoff_is_longest(NOW_MS + 2);
	if (empty_pools[_i].boots)
		pfi_supervisor_forked(&supervisor, 0, 0, 1, now_ms);
	else
		become_ready(0, now_ms);
	if (!empty_pools[_i].another)
		pfi_supervisor_exited(&supervisor, 0, 2, PREFORK_REASON_KILLED, 0, now_ms);
	pfi_supervisor_exited(&supervisor, 0, 0, empty_pools[_i].reason, 0, now_ms);
	(void)pfi_supervisor_turn(&supervisor, now_ms);
	ck_assert_msg(!forks(now_ms + empty_pools[_i].least_ms), "case %d", _i);
	ck_assert_msg(forks(now_ms + empty_pools[_i].most_ms), "case %d", _i);
}
END_TEST

static const struct {
	enum prefork_reason fails; /* STOPPED: none does */
	bool scaled_again;
	enum prefork_verdict verdict;
	uint32_t target;
} empty_reloads[] = {
	{ PREFORK_REASON_STOPPED, false, PREFORK_RELOAD_DONE, 2 },
	{ PREFORK_REASON_BOOT, false, PREFORK_RELOAD_FAILED, 0 },
	{ PREFORK_REASON_STOPPED, true, PREFORK_RELOAD_DONE, 0 },
};

/* A reload of a pool without workers starts those of the setting, unless the pool is scaled to 0 again. */
START_TEST(a_reload_of_a_pool_without_workers_has_a_verdict)
{
	struct pfi_orders orders;
	struct pfi_turn turn;

	create();
	for (uint32_t slot = 0; slot < 2; slot++)
		pfi_supervisor_exited(&supervisor, 0, slot, PREFORK_REASON_KILLED, 1, NOW_MS);
	pool.ever_ready = true;
	ck_assert_int_eq(pfi_supervisor_scale(&supervisor, 0, 0), 0);
	ck_assert(!pfi_supervisor_reload(&supervisor, 2).given);
	pfi_supervisor_propose(&supervisor, 0, 2);
	if (empty_reloads[_i].scaled_again)
		ck_assert_int_eq(pfi_supervisor_scale(&supervisor, 0, 0), 0);
	turn = pfi_supervisor_turn(&supervisor, NOW_MS + 10);
	pfi_supervisor_plan(&supervisor, 0, NOW_MS + 10, &orders);
	ck_assert_uint_eq(orders.count, empty_reloads[_i].scaled_again ? 0 : 1); /* its canary */
	ck_assert_int_eq(turn.decision.given, empty_reloads[_i].scaled_again);
	for (uint32_t slot = 0; slot < 2 && !turn.decision.given; slot++) {
		pfi_supervisor_forked(&supervisor, 0, slot, 2, NOW_MS + 10);
		if (empty_reloads[_i].fails == PREFORK_REASON_STOPPED)
			pfi_supervisor_send_event(&supervisor, 0, slot, PFI_EVENT_READY, NOW_MS + 20);
		else
			pfi_supervisor_exited(&supervisor, 0, slot, empty_reloads[_i].fails, 0, NOW_MS + 20);
		turn = pfi_supervisor_turn(&supervisor, NOW_MS + 20);
	}
	ck_assert(turn.decision.given);
	ck_assert_int_eq(turn.decision.verdict, empty_reloads[_i].verdict);
	ck_assert_uint_eq(pool.target, empty_reloads[_i].target);
}
END_TEST

START_TEST(a_later_process_in_the_slot_of_a_canary_is_not_a_canary)
{
	create();
	pool.canary = (struct pfi_canary){ .slot = 0, .incarnation = slots[0].incarnation - 1 };
	pool.policy.boot_failure_policy = PFI_BOOT_FAILURE_DEGRADE;
	pfi_supervisor_exited(&supervisor, 0, 0, PREFORK_REASON_BOOT, 0, NOW_MS + 10);
	ck_assert_uint_eq(pool.boot.streak, 1);
	ck_assert(!pool.canary.failed);
}
END_TEST

/* The health check after an event of the watchdog timer. */
static void check_health(const uint64_t *deadline_ms, uint64_t now_ms)
{
	const struct pfi_thread_deadline thread = { .deadline_ms = *deadline_ms, .since_ms = 1, .exists = true };
	const struct pfi_deadline_summary summary = pfi_deadlines_summarize(&thread, 1, 0, now_ms);

	slots[1].busy = summary.busy;
	slots[1].expired = summary.expired;
	slots[1].usable = summary.usable;
	slots[1].next_ms = summary.next_ms;
}

static uint64_t rest(uint64_t now_ms, struct pfi_orders *orders)
{
	const uint64_t turn_ms = pfi_supervisor_turn(&supervisor, now_ms).wake_ms;

	pfi_supervisor_plan(&supervisor, 0, now_ms, orders);
	pfi_supervisor_set_next_turn(&supervisor, pfi_earlier_ms(turn_ms, orders->wake_ms));
	return pfi_earlier_ms(turn_ms, orders->wake_ms);
}

START_TEST(an_idle_hour_needs_no_turn_and_gives_no_grace)
{
	const uint64_t later_ms = NOW_MS + 3600000, deadline_ms = later_ms + 1000;
	struct pfi_orders orders;

	create();
	pfi_supervisor_send_event(&supervisor, 0, 0, PFI_EVENT_READY, NOW_MS + 10);
	pfi_supervisor_send_event(&supervisor, 0, 1, PFI_EVENT_READY, NOW_MS + 10);
	ck_assert_uint_eq(rest(NOW_MS + 20, &orders), 0);
	ck_assert_uint_eq(orders.count, 0);

	/* A request begins; the watchdog timer of its worker expires at its deadline. */
	check_health(&deadline_ms, later_ms);
	ck_assert_uint_eq(rest(later_ms, &orders), deadline_ms);
	ck_assert_uint_eq(orders.count, 0);
	check_health(&deadline_ms, deadline_ms);
	(void)rest(deadline_ms, &orders);
	ck_assert_uint_eq(orders.count, 1);
	ck_assert_int_eq(orders.list[0].event, PFI_EVENT_STUCK);
	ck_assert_uint_eq(orders.list[0].slot, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("supervisor");
	TCase *tc = new_case(suite, "phases");

	tcase_add_test(tc, after_a_fatal_error_without_ready_workers_the_backlog_is_dropped);
	tcase_add_test(tc, after_a_fatal_error_ready_workers_serve_the_backlog);
	tcase_add_test(tc, a_graceful_stop_replaces_crashed_workers_while_connections_are_pending);
	tcase_add_loop_test(tc, a_stop_without_ready_workers_takes_the_drain_time, 0, 3);
	tcase_add_loop_test(tc, a_stop_without_workers_starts_one_for_pending_connections, 0, 4);
	tcase_add_loop_test(tc, a_stop_waits_for_pending_connections_until_its_limit, 0, 2);
	tcase_add_test(tc, a_late_turn_starts_one_grace);
	tcase_add_test(tc, a_second_drain_request_does_not_extend_the_timeout);
	tcase_add_loop_test(tc, a_single_crash_is_replaced_at_once_and_a_sick_worker_after_a_pause, 0, 3);
	tcase_add_loop_test(tc, a_pool_without_workers_starts_one_at_once, 0, 5);
	tcase_add_loop_test(tc, a_reload_of_a_pool_without_workers_has_a_verdict, 0, 3);
	tcase_add_test(tc, a_later_process_in_the_slot_of_a_canary_is_not_a_canary);
	tcase_add_test(tc, an_idle_hour_needs_no_turn_and_gives_no_grace);
	return run_suite(suite);
}
