#include "../support.h"

#include "model/worker_score.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/timer.h"
#include "worker/liveness.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/timerfd.h>

enum { CELLS = 3, TIMEOUT_MS = 30000 };

static struct pfi_worker_score *score;
static struct pfi_liveness liveness;
static int watchdog;
static int fds_before;

static void open_all(void)
{
	fds_before = pfi_fd_count();
	score = aligned_alloc(128, pfi_worker_score_bytes(CELLS));
	ck_assert_ptr_nonnull(score);
	for (unsigned i = 0; i < CELLS; i++)
		score->thread_slots[i] = (struct pfi_thread_slot){ 0 };
	watchdog = pfi_timer_open();
	ck_assert_int_ge(watchdog, 0);
	pfi_liveness_init(&liveness, score, CELLS, watchdog, TIMEOUT_MS, 0);
}

static void close_all(void)
{
	pfi_liveness_finish(&liveness);
	pfi_timer_close(&watchdog);
	free(score);
	ck_assert_int_eq(pfi_fd_count(), fds_before);
}

/* What the kernel says is left, 0: not set. */
static uint64_t left_ms(void)
{
	struct itimerspec left;

	ck_assert_int_eq(timerfd_gettime(watchdog, &left), 0);
	return (uint64_t)left.it_value.tv_sec * 1000 + (uint64_t)left.it_value.tv_nsec / 1000000;
}

static bool timer_events(int within_ms)
{
	struct pollfd pollfd = { .fd = watchdog, .events = POLLIN };

	return poll(&pollfd, 1, within_ms) == 1;
}

START_TEST(busy_writes_a_deadline_and_arms_the_watchdog)
{
	const uint64_t before_ms = pfi_now_ms();

	pfi_liveness_begin(&liveness, 1);
	ck_assert_uint_ge(score->thread_slots[1].deadline_ms, before_ms + TIMEOUT_MS);
	ck_assert_uint_le(score->thread_slots[1].deadline_ms, pfi_now_ms() + TIMEOUT_MS);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[1].deadline_ms);
	ck_assert_uint_gt(left_ms(), 0);
	pfi_liveness_end(&liveness, 1);
	ck_assert_uint_eq(score->thread_slots[1].deadline_ms, 0);
}
END_TEST

START_TEST(a_beat_restarts_the_deadline_and_never_shortens_it)
{
	pfi_liveness_beat(&liveness, 1);
	ck_assert_uint_eq(score->thread_slots[1].deadline_ms, 0); /* who is idle stays so */
	pfi_liveness_begin(&liveness, 1);
	score->thread_slots[1].deadline_ms -= TIMEOUT_MS / 2; /* as if it had begun so long ago */
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

START_TEST(the_watch_is_set_once_per_timeout_and_not_per_request)
{
	pfi_liveness_begin(&liveness, 0);
	const uint64_t at_ms = liveness.watchdog_at_ms;
	ck_assert_int_eq(pfi_timer_set(watchdog, 0), 0); /* whoever sets it again is seen */
	for (unsigned i = 0; i < 1000; i++) {
		pfi_liveness_end(&liveness, i % CELLS);
		pfi_liveness_begin(&liveness, i % CELLS);
	}
	ck_assert_uint_eq(liveness.watchdog_at_ms, at_ms);
	ck_assert_uint_eq(left_ms(), 0);
}
END_TEST

START_TEST(busy_again_moves_the_deadline_and_does_not_rearm_the_watchdog)
{
	pfi_liveness_begin(&liveness, 0);
	const uint64_t deadline_ms = score->thread_slots[0].deadline_ms, at_ms = liveness.watchdog_at_ms;
	ck_assert_int_eq(pfi_timer_set(watchdog, 0), 0);
	liveness.watchdog_at_ms = 1; /* as after it has fired */
	while (pfi_now_ms() + TIMEOUT_MS <= deadline_ms)
		continue;
	pfi_liveness_begin(&liveness, 0);
	ck_assert_uint_gt(score->thread_slots[0].deadline_ms, deadline_ms);
	ck_assert_uint_eq(left_ms(), 0);
	score->thread_slots[0].deadline_ms = pfi_now_ms(); /* late: that may have been seen, and forgiven */
	pfi_liveness_begin(&liveness, 0);
	ck_assert_uint_ge(liveness.watchdog_at_ms, at_ms);
	ck_assert_uint_gt(left_ms(), 0);
}
END_TEST

START_TEST(no_timeout_means_busy_without_a_limit_and_no_watch)
{
	liveness.timeout_ms = 0;
	pfi_liveness_begin(&liveness, 0);
	ck_assert_uint_eq(score->thread_slots[0].deadline_ms, UINT64_MAX);
	ck_assert_uint_gt(score->thread_slots[0].since_ms, 0);
	ck_assert_uint_eq(left_ms(), 0);
}
END_TEST

START_TEST(a_shorter_extension_brings_the_watch_forward)
{
	pfi_liveness_begin(&liveness, 0);
	pfi_liveness_extend(&liveness, 0, 20);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[0].deadline_ms);
	ck_assert(timer_events(5000));
}
END_TEST

START_TEST(a_longer_extension_does_not_rearm_the_watchdog)
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

/* Without a limit, too; and a deadline that comes before it has the watch first. */
START_TEST(the_watch_fires_when_work_becomes_slow)
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
	score->thread_slots[1].since_ms -= 1000; /* it is slow now: the next look is for its deadline */
	pfi_liveness_extend(&liveness, 1, 5000);
	liveness.watchdog_at_ms = 0;
	pfi_liveness_extend(&liveness, 1, 5000);
	ck_assert_uint_eq(liveness.watchdog_at_ms, score->thread_slots[1].deadline_ms);
}
END_TEST

START_TEST(a_wait_for_the_client_moves_the_deadline_by_as_long)
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

/* Setting a timer throws away an expiry that nobody has read yet: when a
 * sister thread is late, and this one sets the watch, the news must not be lost. */
START_TEST(a_late_sister_is_told_again_although_the_watch_was_set_anew)
{
	pfi_liveness_begin(&liveness, 1);
	pfi_liveness_extend(&liveness, 1, 1);
	ck_assert(timer_events(5000)); /* and is not read */
	pfi_liveness_begin(&liveness, 2);
	ck_assert_uint_lt(liveness.watchdog_at_ms, score->thread_slots[2].deadline_ms);
	ck_assert(timer_events(5000));
	for (int i = 0; i < 100; i++) /* ever less often: no flood */
		pfi_liveness_begin(&liveness, 2);
	ck_assert_uint_le(liveness.repeat_ms, 80);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("liveness");
	TCase *tc = tcase_create("liveness");

	tcase_add_checked_fixture(tc, open_all, close_all);
	tcase_add_test(tc, busy_writes_a_deadline_and_arms_the_watchdog);
	tcase_add_test(tc, a_beat_restarts_the_deadline_and_never_shortens_it);
	tcase_add_test(tc, the_watch_is_set_once_per_timeout_and_not_per_request);
	tcase_add_test(tc, busy_again_moves_the_deadline_and_does_not_rearm_the_watchdog);
	tcase_add_test(tc, no_timeout_means_busy_without_a_limit_and_no_watch);
	tcase_add_test(tc, the_watch_fires_when_work_becomes_slow);
	tcase_add_test(tc, a_shorter_extension_brings_the_watch_forward);
	tcase_add_test(tc, a_longer_extension_does_not_rearm_the_watchdog);
	tcase_add_test(tc, a_wait_for_the_client_moves_the_deadline_by_as_long);
	tcase_add_test(tc, a_late_sister_is_told_again_although_the_watch_was_set_anew);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
