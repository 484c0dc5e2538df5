/*
 * One worker gone wild beside one that serves. Whatever it does with what it was
 * born with (its page, its control channel, its watch), before, during and after its work:
 * it harms itself alone. The other one lives on and serves, the arbiter does what
 * it is told and does not spin, and nobody is left in the end.
 */
#include "../../support.h"

#include "faults.h"
#include "stage.h"

#include "model/message.h"
#include "model/worker_score.h"
#include "os/clock.h"
#include "os/control_channel.h"
#include "os/scoreboard.h"
#include "os/timer.h"
#include "worker/strategies.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/worker.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* ---- what it does, again and again ---- */

static uint64_t chance = 88172645463325252U;

static uint64_t next_chance(void)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance;
}

static void *page_of(struct prefork_worker *worker, size_t *ret_size)
{
	*ret_size = worker->context->scoreboard->stride;
	return worker->context->score;
}

static void every_byte(struct prefork_worker *worker, unsigned step)
{
	size_t size;
	void *const score = page_of(worker, &size);

	memset(score, (int)(step / 8 % 256), size);
}

static void random_words(struct prefork_worker *worker, unsigned step)
{
	size_t size;
	uint64_t *const words = page_of(worker, &size);

	for (size_t i = 0; i < size / sizeof *words; i++)
		words[i] = step % 2 ? next_chance() : pfi_now_ms() + next_chance() % 2000 - 1000;
}

static void fill_deadlines(struct prefork_worker *worker, uint64_t at_ms)
{
	for (unsigned i = 0; i < worker->context->thread_slots; i++)
		atomic_store(&worker->context->score->thread_slots[i].deadline_ms, at_ms);
}

static void always_soon(struct prefork_worker *worker, unsigned step)
{
	fill_deadlines(worker, pfi_now_ms() + 1 + step % 2);
}

static void always_late(struct prefork_worker *worker, unsigned step)
{
	fill_deadlines(worker, step % 2 ? 1 : pfi_now_ms());
}

static void no_end_of_notes(struct prefork_worker *worker, unsigned step)
{
	for (unsigned i = 0; i < worker->context->thread_slots; i++)
		memset(worker->context->score->thread_slots[i].activity, "\n\x1b\xff" "A"[step % 4], PFI_ACTIVITY_SIZE);
}

static void say_ready(struct prefork_worker *worker, unsigned step)
{
	(void)pfi_channel_send(worker->context->channel, PFI_MESSAGE_READY, step, NULL);
}

static void say_leaving(struct prefork_worker *worker, unsigned step)
{
	(void)pfi_channel_send(worker->context->channel, PFI_MESSAGE_RETIRING, step, "bye\n[CRITICAL] forged\x1b[2J");
}

static void say_anything(struct prefork_worker *worker, unsigned step)
{
	char text[PFI_MESSAGE_TEXT_MAX + 1];

	memset(text, (int)(1 + step % 255), sizeof text - 1);
	text[sizeof text - 1] = '\0';
	(void)pfi_channel_send(worker->context->channel, (uint32_t)(step % 64), step, text);
}

static void say_pieces(struct prefork_worker *worker, unsigned step)
{
	static const char bytes[4096];

	(void)send(worker->context->channel, bytes, 1 + next_chance() % (step % 16 == 0 ? sizeof bytes : 12), MSG_NOSIGNAL);
}

static void say_nothing(struct prefork_worker *worker, unsigned step)
{
	(void)step;
	(void)send(worker->context->channel, "", 0, MSG_NOSIGNAL);
}

static void hang_up(struct prefork_worker *worker, unsigned step)
{
	(void)worker;
	(void)step;
	(void)shutdown(worker->context->channel, SHUT_RDWR);
}

static void wake_at_once(struct prefork_worker *worker, unsigned step)
{
	(void)pfi_timer_set(worker->context->watchdog, 1 + step % 2);
}

static void wake_soon(struct prefork_worker *worker, unsigned step)
{
	if (step % 64 == 0)
		(void)pfi_timer_set(worker->context->watchdog, pfi_now_ms() + 1);
}

static void wake_for_ever(struct prefork_worker *worker, unsigned step)
{
	const struct itimerspec often = { .it_value.tv_nsec = 1, .it_interval.tv_nsec = 1 };

	if (step % 1024 == 0)
		(void)timerfd_settime(worker->context->watchdog, 0, &often, NULL);
}

/* O_NONBLOCK belongs to the timer, and so to the arbiter's copy of it: a read of an expiry that the
 * worker has taken back meanwhile would wait for the next. So nobody reads; it is seen by that. */
static void wake_without_nonblock(struct prefork_worker *worker, unsigned step)
{
	struct pollfd watchdog = { .fd = worker->context->watchdog, .events = POLLIN };

	(void)step;
	(void)pfi_fd_set_nonblock(worker->context->watchdog, false);
	(void)pfi_timer_set(worker->context->watchdog, 1);
	(void)poll(NULL, 0, 100);
	_exit(poll(&watchdog, 1, 0) == 1 ? 0 : 9);
}

/* For a moment; and after more than the second in which nobody hears it, a request hangs. */
static void wake_and_hang(struct prefork_worker *worker, unsigned step)
{
	(void)pfi_timer_set(worker->context->watchdog, 1);
	if (step < 2000) { /* one by one, so that the arbiter has the time to count them */
		(void)poll(NULL, 0, 1);
		return;
	}
	(void)poll(NULL, 0, 1200);
	fill_deadlines(worker, 0);
	prefork_worker_set_activity(worker, "a request that hangs", 20);
	prefork_worker_busy(worker);
	for (;;)
		(void)pause();
}

static void all_at_once(struct prefork_worker *worker, unsigned step)
{
	static void (*const acts[])(struct prefork_worker *, unsigned) = {
		random_words, say_anything, say_pieces, wake_at_once, every_byte, say_leaving,
	};

	acts[next_chance() % (sizeof acts / sizeof acts[0])](worker, step);
}

static const struct {
	const char *name;
	void (*act)(struct prefork_worker *worker, unsigned step);
} acts[] = {
	{ "each byte over its page", every_byte },	{ "random words over its page", random_words },
	{ "always about to be late", always_soon },	{ "always late", always_late },
	{ "notes without end", no_end_of_notes },	{ "always ready", say_ready },
	{ "always leaving", say_leaving },		{ "messages of any type", say_anything },
	{ "pieces of messages", say_pieces },		{ "empty messages", say_nothing },
	{ "the control channel hung up", hang_up },		{ "its watch goes off at once", wake_at_once },
	{ "its watch goes off all the time", wake_soon }, { "its watch ticks", wake_for_ever },
	{ "everything", all_at_once }, { "its watch goes off, then it hangs", wake_and_hang },
	{ "its watch may block", wake_without_nonblock }, /* in a test of its own */
};

/* When it goes wild. */
enum moment { BEFORE_READY, IDLE, BUSY, LEAVING, MOMENTS };

enum { ACTS = sizeof acts / sizeof acts[0] - 1, HANGS = ACTS - 1, MAY_BLOCK = ACTS };

/* ---- in the workers ---- */

static bool is_rogue; /* in this process; the first one of all is */

static void go_wild(struct prefork_worker *worker)
{
	const int act = atomic_load(&orders->mood) / MOMENTS;

	for (unsigned step = 0;; step++) {
		if (step % 4096 == 0)
			atomic_fetch_add(&orders->number, 1);
		acts[act].act(worker, step);
	}
}

static int on_worker_start(struct prefork_worker *worker, void *user)
{
	int nobody = 0;

	(void)user;
	is_rogue = atomic_compare_exchange_strong(&orders->pid, &nobody, (int)getpid());
	if (is_rogue && atomic_load(&orders->mood) % MOMENTS == BEFORE_READY)
		go_wild(worker);
	return 0;
}

static int run(struct prefork_worker *worker, void *user)
{
	struct pollfd told = { .fd = prefork_worker_fd(worker), .events = POLLIN };
	const int moment = atomic_load(&orders->mood) % MOMENTS;

	if (!is_rogue)
		return pfi_strategy_sync.run(worker, user);
	while (moment == LEAVING && prefork_worker_check(worker) == PREFORK_CONTINUE)
		(void)poll(&told, 1, -1);
	if (moment == BUSY)
		prefork_worker_busy(worker);
	go_wild(worker);
	return 0;
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy, .name = "rogue", .traits = PREFORK_STRATEGY_MAY_BLOCK, .run = run
};

static const struct stage_parts parts = { .strategy = &strategy, .worker_start = on_worker_start, .with_echo = true };

/* ---- the tests ---- */

static void expect_echo(const char *name)
{
	const int client = stage_connect();

	PROMISE(client >= 0 && stage_echo(client), "%s", name);
	(void)close(client);
}

START_TEST(a_rogue_harms_itself_alone)
{
	const char *const arguments[] = { "--timeout", stage_scaled(300), "--graceful-timeout", "400ms", "--boot-timeout",
					  stage_scaled(800), NULL };
	const int act = _i % ACTS, moment = _i / ACTS;
	const char *const name = acts[act].name;
	const int ready = moment == BEFORE_READY ? 1 : 2;

	atomic_store(&orders->mood, act * MOMENTS + moment);
	ck_assert_int_eq(stage_load(arguments), 0);
	ck_assert_int_eq(stage_create(&parts), 0);
	PROMISE(prefork_arbiter_start(stage.arbiter) == 0, "%s", prefork_error());
	PROMISE(stage_until(&stage.ready, ready), "%s", name);
	const pid_t rogue = (pid_t)atomic_load(&orders->pid);
	const uint64_t before_ms = stage_cpu_ms();
	const uint64_t begun_ms = pfi_now_ms();
	const int rounds = stage.rounds;

	if (moment == LEAVING)
		PROMISE(kill(rogue, SIGTERM) == 0, "%s", name);
	stage_run_for(300);
	PROMISE(stage_cpu_ms() - before_ms < stage_patience_ms() / 50, "%s: a spin", name);
	/* Whoever is late himself has had more time for them. */
	PROMISE((uint64_t)(stage.rounds - rounds) * 100 < 250 * (pfi_now_ms() - begun_ms), "%s: %d rounds", name,
		stage.rounds - rounds);
	expect_echo(name);
	/* Who has died was the rogue, or a replacement never. */
	PROMISE(stage.exited == 0 || (stage.exited == 1 && stage.last_exited == rogue), "%s: %s", name, stage.message);
	PROMISE(stage_log_count("\x1b") == 0 && stage_log_count("\n[CRITICAL] forged") == 0, "%s", name);
	PROMISE(prefork_arbiter_request_scale(stage.arbiter, 0, 4) == 0, "%s", name);
	PROMISE(stage_until(&stage.ready, 4), "%s", name);
	expect_echo(name);
	PROMISE(atomic_load(&orders->number) > 0, "%s: it did happen", name);
	PROMISE(stage_stop(true) == 0, "%s: %s", name, prefork_error());
}
END_TEST

/* Its watch was not heard any more when the request began; in the second case nobody's was, since
 * the arbiter was called for nothing all the time. */
START_TEST(a_rogue_that_hangs_is_ended_all_the_same)
{
	static const char *const arguments[] = { "--timeout", "300ms", NULL };

	atomic_store(&orders->mood, HANGS * MOMENTS + IDLE);
	stage_start(&parts, arguments);
	for (int i = 0; i < 1000 * _i; i++)
		PROMISE(prefork_arbiter_dispatch(stage.arbiter) == 1, "%s", prefork_error());
	PROMISE(stage_until(&stage.exited, 1), "it is ended");
	PROMISE(stage.last_exited == (pid_t)atomic_load(&orders->pid), "%s", stage.message);
	PROMISE(stage.reason == PREFORK_REASON_TIMEOUT, "%s", stage.message);
	PROMISE(strstr(stage.message, "a request that hangs") != NULL, "%s", stage.message);
	PROMISE(_i > 0 || stage_log_count("misbehaves: its watchdog timer") == 1, "it is said once");
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

START_TEST(a_timer_that_a_rogue_shares_is_never_read)
{
	static const char *const arguments[] = { NULL };

	atomic_store(&orders->mood, MAY_BLOCK * MOMENTS + IDLE);
	stage_start(&parts, arguments);
	PROMISE(stage_until(&stage.exited, 1), "it has looked");
	PROMISE(strstr(stage.message, "exited with code 0") != NULL, "%s", stage.message);
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

int main(void)
{
	static const char *const names[] = { "before ready", "idle", "busy", "leaving", "hangs" };
	Suite *const suite = suite_create("rogue");
	TCase *tc = NULL;

	/* Each case is a program to meson: they mostly wait, and do so side by side. */
	for (int moment = 0; moment <= MOMENTS; moment++) {
		tc = tcase_create(names[moment]);
		tcase_set_timeout(tc, 120);
		tcase_add_checked_fixture(tc, stage_set_up, stage_tear_down);
		if (moment < MOMENTS)
			tcase_add_loop_test(tc, a_rogue_harms_itself_alone, moment * ACTS, (moment + 1) * ACTS);
		suite_add_tcase(suite, tc);
	}
	tcase_add_loop_test(tc, a_rogue_that_hangs_is_ended_all_the_same, 0, 2);
	tcase_add_test(tc, a_timer_that_a_rogue_shares_is_never_read);

	return run_suite(suite);
}
