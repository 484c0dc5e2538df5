#include "../support.h"

#include "model/worker_score.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/timer.h"
#include "worker/liveness.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/timerfd.h>

enum { THREADS = 3, TIMEOUT_MS = 30000 };

static struct pfi_worker_score *score;
static struct pfi_liveness liveness;
static int watchdog;

static void open_all(void)
{
	score = aligned_alloc(128, pfi_worker_score_bytes(THREADS));
	ck_assert_ptr_nonnull(score);
	for (unsigned i = 0; i < THREADS; i++)
		score->thread_slots[i] = (struct pfi_thread_slot){ 0 };
	watchdog = pfi_timer_open();
	ck_assert_int_ge(watchdog, 0);
	pfi_liveness_init(&liveness, score, THREADS, watchdog, TIMEOUT_MS, 0);
}

static void close_all(void)
{
	pfi_liveness_finish(&liveness);
	pfi_timer_close(&watchdog);
	free(score);
}

/* Time until the timer expires, 0: not set. */
static uint64_t remaining_ms(void)
{
	struct itimerspec remaining;

	ck_assert_int_eq(timerfd_gettime(watchdog, &remaining), 0);
	return (uint64_t)remaining.it_value.tv_sec * 1000 + (uint64_t)remaining.it_value.tv_nsec / 1000000;
}

static bool expires(int within_ms)
{
	struct pollfd pollfd = { .fd = watchdog, .events = POLLIN };

	return poll(&pollfd, 1, within_ms) == 1;
}

START_TEST(a_request_stores_its_deadline_and_sets_the_watchdog)
{
	const uint64_t before_ms = pfi_now_ms();

	pfi_liveness_begin(&liveness, 1);
	ck_assert_uint_ge(score->thread_slots[1].deadline_ms, before_ms + TIMEOUT_MS);
	ck_assert_uint_le(score->thread_slots[1].deadline_ms, pfi_now_ms() + TIMEOUT_MS);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[1].deadline_ms);
	ck_assert_uint_gt(remaining_ms(), 0);
	pfi_liveness_end(&liveness, 1);
	ck_assert_uint_eq(score->thread_slots[1].deadline_ms, 0);
}
END_TEST

START_TEST(a_beat_restarts_the_deadline_and_never_shortens_it)
{
	pfi_liveness_beat(&liveness, 1);
	ck_assert_uint_eq(score->thread_slots[1].deadline_ms, 0); /* an idle thread gets no deadline */
	pfi_liveness_begin(&liveness, 1);
	score->thread_slots[1].deadline_ms -= TIMEOUT_MS / 2; /* as if half the timeout had passed */
	const uint64_t before_ms = pfi_now_ms();
	pfi_liveness_beat(&liveness, 1);
	ck_assert_uint_ge(score->thread_slots[1].deadline_ms, before_ms + TIMEOUT_MS);
	pfi_liveness_extend(&liveness, 1, 10 * TIMEOUT_MS);
	const uint64_t far_ms = score->thread_slots[1].deadline_ms;
	pfi_liveness_beat(&liveness, 1);
	ck_assert_uint_eq(score->thread_slots[1].deadline_ms, far_ms);
	pfi_liveness_end(&liveness, 1);
}
END_TEST

START_TEST(the_watchdog_is_set_once_per_timeout_and_not_per_request)
{
	pfi_liveness_begin(&liveness, 0);
	const uint64_t at_ms = liveness.watchdog_at_ms;
	ck_assert_int_eq(pfi_timer_set(watchdog, 0), 0); /* remaining_ms() shows whether it is set again */
	for (unsigned i = 0; i < 1000; i++) {
		pfi_liveness_end(&liveness, i % THREADS);
		pfi_liveness_begin(&liveness, i % THREADS);
	}
	ck_assert_uint_eq(liveness.watchdog_at_ms, at_ms);
	ck_assert_uint_eq(remaining_ms(), 0);
}
END_TEST

START_TEST(a_next_request_moves_the_deadline_and_does_not_set_the_watchdog)
{
	pfi_liveness_begin(&liveness, 0);
	const uint64_t deadline_ms = score->thread_slots[0].deadline_ms, at_ms = liveness.watchdog_at_ms;
	ck_assert_int_eq(pfi_timer_set(watchdog, 0), 0);
	liveness.watchdog_at_ms = 1; /* as after it has fired */
	while (pfi_now_ms() + TIMEOUT_MS <= deadline_ms)
		continue;
	pfi_liveness_begin(&liveness, 0);
	ck_assert_uint_gt(score->thread_slots[0].deadline_ms, deadline_ms);
	ck_assert_uint_eq(remaining_ms(), 0);
	score->thread_slots[0].deadline_ms = pfi_now_ms(); /* it has passed, and the arbiter may have given grace */
	pfi_liveness_begin(&liveness, 0);
	ck_assert_uint_ge(liveness.watchdog_at_ms, at_ms);
	ck_assert_uint_gt(remaining_ms(), 0);
}
END_TEST

START_TEST(without_a_timeout_a_request_has_no_limit_and_sets_no_watchdog)
{
	liveness.timeout_ms = 0;
	pfi_liveness_begin(&liveness, 0);
	ck_assert_uint_eq(score->thread_slots[0].deadline_ms, UINT64_MAX);
	ck_assert_uint_gt(score->thread_slots[0].since_ms, 0);
	ck_assert_uint_eq(remaining_ms(), 0);
}
END_TEST

START_TEST(a_shorter_extension_sets_the_watchdog_earlier)
{
	pfi_liveness_begin(&liveness, 0);
	pfi_liveness_extend(&liveness, 0, 20);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[0].deadline_ms);
	ck_assert(expires(5000));
}
END_TEST

START_TEST(a_longer_extension_does_not_set_the_watchdog)
{
	pfi_liveness_begin(&liveness, 0);
	const uint64_t at_ms = liveness.watchdog_at_ms;
	pfi_liveness_extend(&liveness, 0, TIMEOUT_MS * 10);
	ck_assert_uint_eq(liveness.watchdog_at_ms, at_ms);
	pfi_liveness_extend(&liveness, 0, UINT64_MAX);
	ck_assert_uint_eq(score->thread_slots[0].deadline_ms, UINT64_MAX);
	const struct pfi_pause pause = pfi_liveness_pause(&liveness, 0);
	pfi_liveness_resume(&liveness, 0, pause);
	ck_assert_uint_eq(score->thread_slots[0].deadline_ms, UINT64_MAX);
}
END_TEST

/* Without a timeout, too. An earlier deadline sets the timer first. */
START_TEST(the_watchdog_expires_when_a_request_becomes_slow)
{
	liveness.slow_ms = 1000;
	pfi_liveness_begin(&liveness, 0);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[0].since_ms + 1000);
	pfi_liveness_extend(&liveness, 0, 500);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[0].deadline_ms);
	pfi_liveness_end(&liveness, 0);
	liveness.watchdog_at_ms = 0;
	liveness.timeout_ms = 0;
	pfi_liveness_begin(&liveness, 1);
	ck_assert_uint_eq(score->thread_slots[1].deadline_ms, UINT64_MAX);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[1].since_ms + 1000);
	score->thread_slots[1].since_ms -= 1000; /* it is slow: the timer is for its deadline next */
	pfi_liveness_extend(&liveness, 1, 5000);
	liveness.watchdog_at_ms = 0;
	pfi_liveness_extend(&liveness, 1, 5000);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[1].deadline_ms);
}
END_TEST

START_TEST(a_wait_for_the_client_extends_the_deadline_by_its_length)
{
	pfi_liveness_begin(&liveness, 0);
	const uint64_t deadline_ms = score->thread_slots[0].deadline_ms;
	struct pfi_pause pause = pfi_liveness_pause(&liveness, 0);

	ck_assert_uint_eq(score->thread_slots[0].deadline_ms, 0);
	pause.since_ms -= 1000; /* as if it had waited a second */
	pfi_liveness_resume(&liveness, 0, pause);
	ck_assert_uint_ge(score->thread_slots[0].deadline_ms, deadline_ms + 1000);
	ck_assert_uint_lt(score->thread_slots[0].deadline_ms, deadline_ms + 10000);
}
END_TEST

/* timerfd_settime(2) discards an expiry that has not been read. If the deadline of one thread has
 * passed and another thread sets the timer, the timer must expire again for the first. */
START_TEST(setting_the_watchdog_again_does_not_lose_a_passed_deadline)
{
	pfi_liveness_begin(&liveness, 1);
	pfi_liveness_extend(&liveness, 1, 1);
	ck_assert(expires(5000)); /* and is not read */
	pfi_liveness_begin(&liveness, 2);
	ck_assert_uint_lt(liveness.watchdog_at_ms, score->thread_slots[2].deadline_ms);
	ck_assert(expires(5000));
	for (int i = 0; i < 100; i++) /* with a growing interval */
		pfi_liveness_begin(&liveness, 2);
	ck_assert_uint_le(liveness.repeat_ms, 80);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("liveness");
	TCase *tc = new_case(suite, "liveness");

	tcase_add_checked_fixture(tc, open_all, close_all);
	tcase_add_test(tc, a_request_stores_its_deadline_and_sets_the_watchdog);
	tcase_add_test(tc, a_beat_restarts_the_deadline_and_never_shortens_it);
	tcase_add_test(tc, the_watchdog_is_set_once_per_timeout_and_not_per_request);
	tcase_add_test(tc, a_next_request_moves_the_deadline_and_does_not_set_the_watchdog);
	tcase_add_test(tc, without_a_timeout_a_request_has_no_limit_and_sets_no_watchdog);
	tcase_add_test(tc, the_watchdog_expires_when_a_request_becomes_slow);
	tcase_add_test(tc, a_shorter_extension_sets_the_watchdog_earlier);
	tcase_add_test(tc, a_longer_extension_does_not_set_the_watchdog);
	tcase_add_test(tc, a_wait_for_the_client_extends_the_deadline_by_its_length);
	tcase_add_test(tc, setting_the_watchdog_again_does_not_lose_a_passed_deadline);
	return run_suite(suite);
}
