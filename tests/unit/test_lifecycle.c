/* The tables that the plan uses: transitions, back-off, deadlines, reasons of exits. */
#include "../support.h"

#include "model/backoff.h"
#include "model/deadline.h"
#include "model/exit_record.h"
#include "model/lifecycle.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(exit_frees_the_slot_from_every_live_state)
{
	const struct pfi_transition step = pfi_lifecycle_step((enum pfi_state)_i, PFI_EVENT_EXITED);

	ck_assert_int_eq(step.action, PFI_ACTION_RELEASE);
	ck_assert_int_eq(step.next, PFI_STATE_EMPTY);
}
END_TEST

START_TEST(no_event_leads_back_to_an_earlier_state)
{
	for (int event = 0; event < PFI_EVENT_COUNT; event++) {
		const struct pfi_transition step = pfi_lifecycle_step((enum pfi_state)_i, (enum pfi_event)event);

		ck_assert(step.next >= (enum pfi_state)_i || step.next == PFI_STATE_EMPTY);
		if (step.action == PFI_ACTION_REFUSE)
			ck_assert_int_eq(step.next, _i);
	}
}
END_TEST

START_TEST(an_empty_slot_only_accepts_a_fork)
{
	for (int event = 0; event < PFI_EVENT_COUNT; event++) {
		const struct pfi_transition step = pfi_lifecycle_step(PFI_STATE_EMPTY, (enum pfi_event)event);

		ck_assert_int_eq(step.action == PFI_ACTION_REFUSE, event != PFI_EVENT_FORKED);
	}
}
END_TEST

static const struct pfi_intensity limits = { .failures_max = 3, .period_ms = 10000, .first_ms = 500, .cap_ms = 30000 };

START_TEST(the_backoff_grows_up_to_its_maximum)
{
	uint64_t previous_ms = 0;

	ck_assert_uint_eq(pfi_backoff_delay_ms(&limits, 0, 200), 0);
	for (uint32_t streak = 1; streak < 40; streak++) {
		const uint64_t ms = pfi_backoff_delay_ms(&limits, streak, 200); /* 200: no jitter */

		ck_assert_uint_ge(ms, previous_ms);
		ck_assert_uint_le(ms, limits.cap_ms);
		ck_assert_uint_ge(pfi_backoff_delay_ms(&limits, streak, 0), ms * 4 / 5);
		previous_ms = ms;
	}
	ck_assert_uint_eq(pfi_backoff_delay_ms(&limits, 1, 200), 500);
	ck_assert_uint_eq(pfi_backoff_delay_ms(&limits, 2, 200), 750);
	ck_assert_uint_eq(previous_ms, limits.cap_ms);
}
END_TEST

START_TEST(after_too_many_failures_in_a_period_the_backoff_begins)
{
	struct pfi_backoff backoff = { 0 };

	for (uint64_t i = 0; i < 3; i++) {
		pfi_backoff_failed(&backoff, &limits, true, 1000 + i, 200);
		ck_assert_uint_le(backoff.earliest_ms, 1000 + i);
	}
	ck_assert(pfi_backoff_is_exhausted(&backoff, &limits, 1003));
	pfi_backoff_failed(&backoff, &limits, true, 1003, 200);
	ck_assert_uint_eq(backoff.earliest_ms, 1503);
	pfi_backoff_served(&backoff, &limits, 1004);
	ck_assert_uint_eq(backoff.streak, 1);
	ck_assert(!pfi_backoff_is_exhausted(&backoff, &limits, 11000));
	pfi_backoff_served(&backoff, &limits, 11000);
	ck_assert_uint_eq(backoff.streak, 0);
}
END_TEST

/* An event loop that turns does not serve if all its offload threads are stuck. */
START_TEST(a_worker_is_stuck_when_all_threads_beside_its_loop_are_stuck)
{
	const struct pfi_thread_deadline threads[] = { { 0, 990, true }, { 900, 100, true }, { 901, 101, true }, { 0, 0, false } };

	ck_assert_uint_eq(pfi_deadlines_summarize(threads, 4, 0, 1000).usable, 0);
	ck_assert_uint_eq(pfi_deadlines_summarize(threads, 4, 0, 900).usable, 1);
}
END_TEST

START_TEST(a_deadline_passes_at_its_millisecond_and_garbage_is_a_number)
{
	struct pfi_thread_deadline threads[] = {
		{ 0, 0, true },     { 900, 100, true }, { 1000, 100, true },            { 1002, 998, true },
		{ 1500, 999, true }, { 0, 500, true },   { PFI_NO_DEADLINE, 100, true }, { 0, 0, false },
	};
	struct pfi_deadline_summary summary = pfi_deadlines_summarize(threads, 8, 0, 1000);

	ck_assert_uint_eq(summary.busy, 5);
	ck_assert_uint_eq(summary.expired, 2);
	ck_assert_uint_eq(summary.expired_ms, 900);
	ck_assert_uint_eq(summary.usable, 4); /* the first thread runs no callbacks */
	ck_assert_uint_eq(summary.next_ms, 1002);
	summary = pfi_deadlines_summarize(threads, 8, 3, 1000);
	ck_assert_uint_eq(summary.next_ms, 1001); /* the fourth becomes slow then */
	threads[0] = (struct pfi_thread_deadline){ 0, 1, true };
	ck_assert_uint_eq(pfi_deadlines_summarize(threads, 8, 0, 1000).usable, 4);
	ck_assert_uint_eq(pfi_deadlines_summarize(threads, 1, 0, 1000).usable, 1); /* as the only thread it serves */
	threads[0] = (struct pfi_thread_deadline){ 999, 1, true };
	ck_assert_uint_eq(pfi_deadlines_summarize(threads, 8, 0, 1000).usable, 0);
	ck_assert_uint_eq(pfi_deadline_grace_until_ms(1000, 1999, 5000), 0);
	ck_assert_uint_eq(pfi_deadline_grace_until_ms(1000, 2000, 5000), 7000);
	ck_assert_uint_eq(pfi_deadline_grace_until_ms(0, 99999, 5000), 0);
}
END_TEST

static const struct {
	bool known, was_ready;
	int code, signal;
	enum pfi_state state;
	enum prefork_reason reason;
} exits[] = {
	{ true, true, 0, 0, PFI_STATE_SERVING, PREFORK_REASON_RECYCLED },
	{ true, false, 0, 0, PFI_STATE_BOOTING, PREFORK_REASON_BOOT },
	{ true, false, 3, 0, PFI_STATE_BOOTING, PREFORK_REASON_BOOT },
	{ true, false, 4, 0, PFI_STATE_BOOTING, PREFORK_REASON_APP },
	{ true, true, 3, 0, PFI_STATE_SERVING, PREFORK_REASON_CRASHED },
	{ true, true, 4, 0, PFI_STATE_SERVING, PREFORK_REASON_CRASHED },
	{ true, false, 1, 0, PFI_STATE_BOOTING, PREFORK_REASON_BOOT },
	{ true, true, 75, 0, PFI_STATE_SERVING, PREFORK_REASON_SICK },
	{ true, false, 75, 0, PFI_STATE_BOOTING, PREFORK_REASON_SICK },
	{ true, true, 78, 0, PFI_STATE_SERVING, PREFORK_REASON_FATAL },
	{ true, true, 0, SIGSEGV, PFI_STATE_SERVING, PREFORK_REASON_CRASHED },
	{ true, true, 0, SIGKILL, PFI_STATE_SERVING, PREFORK_REASON_KILLED },
	{ true, true, 0, SIGKILL, PFI_STATE_KILLING, PREFORK_REASON_TIMEOUT },
	{ true, true, 0, SIGABRT, PFI_STATE_ABORTING, PREFORK_REASON_TIMEOUT },
	{ true, true, 0, 0, PFI_STATE_DRAINING, PREFORK_REASON_STOPPED },
	{ true, false, 0, SIGTERM, PFI_STATE_DRAINING, PREFORK_REASON_STOPPED },
	{ true, true, 0, SIGSEGV, PFI_STATE_DRAINING, PREFORK_REASON_CRASHED },
	{ false, true, 0, 0, PFI_STATE_SERVING, PREFORK_REASON_UNKNOWN },
	{ false, true, 0, 0, PFI_STATE_DRAINING, PREFORK_REASON_STOPPED },
};

START_TEST(state_code_and_signal_give_the_reason_of_an_exit)
{
	const struct pfi_exit_record record = {
		.known = exits[_i].known, .was_ready = exits[_i].was_ready, .code = exits[_i].code,
		.signal = exits[_i].signal, .state = exits[_i].state, .activity = "", .note = "",
	};

	ck_assert_int_eq(pfi_exit_reason(&record), exits[_i].reason);
}
END_TEST

static const struct {
	bool known, was_ready;
	int code, signal;
	enum pfi_state state;
	enum pfi_cause cause;
	const char *note, *text;
} exit_texts[] = {
	{ true, true, 1, 0, PFI_STATE_DRAINING, PFI_CAUSE_RELOAD, "",
	  "Worker (pid:42) exited with code 1, stopped by the arbiter: a reload, but crashed" },
	{ true, true, 75, 0, PFI_STATE_DRAINING, PFI_CAUSE_RELOAD, "",
	  "Worker (pid:42) exited with code 75, stopped by the arbiter: a reload, but reported that it is sick" },
	{ true, true, 78, 0, PFI_STATE_QUITTING, PFI_CAUSE_STOP, "",
	  "Worker (pid:42) exited with code 78, stopped by the arbiter: the server stops, but reported a permanent failure" },
	{ true, true, 0, 0, PFI_STATE_DRAINING, PFI_CAUSE_SCALE, "",
	  "Worker (pid:42) exited with code 0, stopped by the arbiter: the number of workers was reduced" },
	{ true, true, 0, SIGABRT, PFI_STATE_ABORTING, PFI_CAUSE_REQUEST_TIMEOUT, "",
	  "Worker (pid:42) was killed by SIGABRT, stopped by the arbiter: a request exceeded timeout" },
	{ true, true, 0, 0, PFI_STATE_DRAINING, PFI_CAUSE_SELF, "", "Worker (pid:42) exited with code 0, by its own decision" },
	{ true, true, 0, SIGKILL, PFI_STATE_SERVING, PFI_CAUSE_NONE, "",
	  "Worker (pid:42) was killed by SIGKILL, not sent by the arbiter: another process or the kernel's out-of-memory "
	  "killer sent it" },
	{ true, true, 0, SIGTERM, PFI_STATE_SERVING, PFI_CAUSE_NONE, "",
	  "Worker (pid:42) was killed by SIGTERM, not sent by the arbiter: another process sent it" },
	{ true, true, 0, 60, PFI_STATE_SERVING, PFI_CAUSE_NONE, "", "Worker (pid:42) was killed by signal 60, unexpectedly" },
	{ true, false, 3, 0, PFI_STATE_BOOTING, PFI_CAUSE_NONE, "no\ndatabase",
	  "Worker (pid:42) exited with code 3, before it was ready (no?database)" },
	{ true, false, 4, 0, PFI_STATE_BOOTING, PFI_CAUSE_NONE, "",
	  "Worker (pid:42) exited with code 4, the application did not load" },
	{ false, true, 0, 0, PFI_STATE_SERVING, PFI_CAUSE_NONE, "",
	  "Worker (pid:42) has exited, status unknown: the application reaped it" },
};

START_TEST(an_exit_text_has_status_cause_and_note)
{
	const struct pfi_exit_record record = {
		.pid = 42, .known = exit_texts[_i].known, .was_ready = exit_texts[_i].was_ready,
		.code = exit_texts[_i].code, .signal = exit_texts[_i].signal, .state = exit_texts[_i].state,
		.cause = exit_texts[_i].cause, .activity = "", .note = exit_texts[_i].note,
	};
	char text[PFI_EXIT_TEXT_SIZE], tiny[16];

	pfi_exit_explain(&record, text, sizeof text);
	ck_assert_str_eq(text, exit_texts[_i].text);
	pfi_exit_explain(&record, tiny, sizeof tiny);
	ck_assert_uint_eq(strlen(tiny), sizeof tiny - 1);
}
END_TEST

/* The pairs as the log writes them. */
static const char *join_pairs(const struct pfi_exit_record *record, char text[512])
{
	struct prefork_log_pair pairs[PFI_EXIT_PAIRS_MAX];
	const size_t count = pfi_exit_pairs(record, pairs);
	int used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < count; i++)
		used += pairs[i].is_number ? snprintf(text + used, 512 - (size_t)used, " %s=%" PRId64, pairs[i].key, pairs[i].number)
					   : snprintf(text + used, 512 - (size_t)used, " %s=%s", pairs[i].key, pairs[i].text);
	return text;
}

START_TEST(the_numbers_of_an_exit_are_pairs)
{
	struct pfi_exit_record record = { .known = true, .signal = SIGSEGV, .core = true, .pid = 42, .state = PFI_STATE_SERVING,
					.was_ready = true, .age_ms = 61005, .requests = 7, .rss_max_kib = 512, .cpu_ms = 30,
					.busy = 2, .activity = "GET /", .note = "" };
	char text[512];

	ck_assert_str_eq(join_pairs(&record, text), " reason=crashed signal=11 age_ms=61005 requests=7 rss_max_kib=512 cpu_ms=30"
						  " busy_threads=2 activity=GET /");
	record.activity = "";
	record.signal = 0;
	ck_assert_str_eq(join_pairs(&record, text), " reason=recycled status=0 age_ms=61005 requests=7 rss_max_kib=512 cpu_ms=30");
	record.known = false;
	ck_assert_str_eq(join_pairs(&record, text), " reason=unknown status=-1 age_ms=61005 requests=7");
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("lifecycle");
	TCase *const tc = new_case(suite, "lifecycle");

	tcase_add_loop_test(tc, exit_frees_the_slot_from_every_live_state, PFI_STATE_BOOTING, PFI_STATE_COUNT);
	tcase_add_loop_test(tc, no_event_leads_back_to_an_earlier_state, PFI_STATE_EMPTY, PFI_STATE_COUNT);
	tcase_add_test(tc, an_empty_slot_only_accepts_a_fork);
	tcase_add_test(tc, the_backoff_grows_up_to_its_maximum);
	tcase_add_test(tc, after_too_many_failures_in_a_period_the_backoff_begins);
	tcase_add_test(tc, a_worker_is_stuck_when_all_threads_beside_its_loop_are_stuck);
	tcase_add_test(tc, a_deadline_passes_at_its_millisecond_and_garbage_is_a_number);
	tcase_add_loop_test(tc, state_code_and_signal_give_the_reason_of_an_exit, 0, (int)(sizeof exits / sizeof exits[0]));
	tcase_add_loop_test(tc, an_exit_text_has_status_cause_and_note, 0, (int)(sizeof exit_texts / sizeof exit_texts[0]));
	tcase_add_test(tc, the_numbers_of_an_exit_are_pairs);

	return run_suite(suite);
}
