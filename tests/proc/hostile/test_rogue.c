/*
 * One worker that misbehaves beside one that serves. Whatever it does with its scoreboard entry,
 * its control channel and its watchdog timer, before, during and after its work, it affects itself
 * only. The other worker serves, the arbiter carries out requests and does not spin, and no process
 * is left at the end.
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

/* ---- actions, repeated ---- */

static uint64_t chance = 88172645463325252U;

static uint64_t next_chance(void)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance;
}

static void *entry_of(struct prefork_worker *worker, size_t *ret_size)
{
	*ret_size = worker->context->scoreboard->stride;
	return worker->context->score;
}

static void every_byte(struct prefork_worker *worker, unsigned step)
{
	size_t size;
	void *const score = entry_of(worker, &size);

	memset(score, (int)(step / 8 % 256), size);
}

static void random_words(struct prefork_worker *worker, unsigned step)
{
	size_t size;
	uint64_t *const words = entry_of(worker, &size);

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

static void endless_activity(struct prefork_worker *worker, unsigned step)
{
	for (unsigned i = 0; i < worker->context->thread_slots; i++)
		memset(worker->context->score->thread_slots[i].activity, "\n\x1b\xff" "A"[step % 4], PFI_ACTIVITY_SIZE);
}

static void send_ready(struct prefork_worker *worker, unsigned step)
{
	(void)pfi_channel_send(worker->context->channel, PFI_MESSAGE_READY, step, NULL);
}

static void send_retiring(struct prefork_worker *worker, unsigned step)
{
	(void)pfi_channel_send(worker->context->channel, PFI_MESSAGE_RETIRING, step, "bye\n[CRITICAL] forged\x1b[2J");
}

static void send_any_type(struct prefork_worker *worker, unsigned step)
{
	char text[PFI_MESSAGE_TEXT_MAX + 1];

	memset(text, (int)(1 + step % 255), sizeof text - 1);
	text[sizeof text - 1] = '\0';
	(void)pfi_channel_send(worker->context->channel, (uint32_t)(step % 64), step, text);
}

static void send_pieces(struct prefork_worker *worker, unsigned step)
{
	static const char bytes[4096];

	(void)send(worker->context->channel, bytes, 1 + next_chance() % (step % 16 == 0 ? sizeof bytes : 12), MSG_NOSIGNAL);
}

static void send_empty(struct prefork_worker *worker, unsigned step)
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

static void expire_at_once(struct prefork_worker *worker, unsigned step)
{
	(void)pfi_timer_set(worker->context->watchdog, 1 + step % 2);
}

static void expire_soon(struct prefork_worker *worker, unsigned step)
{
	if (step % 64 == 0)
		(void)pfi_timer_set(worker->context->watchdog, pfi_now_ms() + 1);
}

static void expire_repeatedly(struct prefork_worker *worker, unsigned step)
{
	const struct itimerspec often = { .it_value.tv_nsec = 1, .it_interval.tv_nsec = 1 };

	if (step % 1024 == 0)
		(void)timerfd_settime(worker->context->watchdog, 0, &often, NULL);
}

/* O_NONBLOCK belongs to the open file description, which the arbiter shares: if the arbiter read an expiry that the
 * worker has read already, it would block. So it must not read: the expiry must stay readable. */
static void expire_without_nonblock(struct prefork_worker *worker, unsigned step)
{
	struct pollfd watchdog = { .fd = worker->context->watchdog, .events = POLLIN };

	(void)step;
	(void)pfi_fd_set_nonblock(worker->context->watchdog, false);
	(void)pfi_timer_set(worker->context->watchdog, 1);
	(void)poll(NULL, 0, 100);
	_exit(poll(&watchdog, 1, 0) == 1 ? 0 : 9);
}

/* The timer expires often enough to be muted for 1 s; a request hangs after that. */
static void expire_and_hang(struct prefork_worker *worker, unsigned step)
{
	(void)pfi_timer_set(worker->context->watchdog, 1);
	if (step < 2000) { /* one per ms, so that the arbiter counts them */
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
		random_words, send_any_type, send_pieces, expire_at_once, every_byte, send_retiring,
	};

	acts[next_chance() % (sizeof acts / sizeof acts[0])](worker, step);
}

static const struct {
	const char *name;
	void (*act)(struct prefork_worker *worker, unsigned step);
} acts[] = {
	{ "each byte of its scoreboard entry", every_byte },	{ "random words in its scoreboard entry", random_words },
	{ "deadline always about to pass", always_soon },	{ "deadline always passed", always_late },
	{ "activity without terminator", endless_activity },	{ "always ready", send_ready },
	{ "always retiring", send_retiring },		{ "messages of any type", send_any_type },
	{ "pieces of messages", send_pieces },		{ "empty messages", send_empty },
	{ "the control channel hung up", hang_up },		{ "its timer expires at once", expire_at_once },
	{ "its timer expires all the time", expire_soon }, { "its timer is periodic", expire_repeatedly },
	{ "everything", all_at_once }, { "its timer expires, then it hangs", expire_and_hang },
	{ "its timer may block", expire_without_nonblock }, /* in a test of its own */
};

/* When it misbehaves. */
enum moment { BEFORE_READY, IDLE, BUSY, DRAINING, MOMENTS };

enum { ACTS = sizeof acts / sizeof acts[0] - 1, HANGS = ACTS - 1, MAY_BLOCK = ACTS };

/* ---- in the workers ---- */

static bool is_rogue; /* in this process; the first one of all is */

static void misbehave(struct prefork_worker *worker)
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
	int none = 0;

	(void)user;
	is_rogue = atomic_compare_exchange_strong(&orders->pid, &none, (int)getpid());
	if (is_rogue && atomic_load(&orders->mood) % MOMENTS == BEFORE_READY)
		misbehave(worker);
	return 0;
}

static int run(struct prefork_worker *worker, void *user)
{
	struct pollfd readable = { .fd = prefork_worker_fd(worker), .events = POLLIN };
	const int moment = atomic_load(&orders->mood) % MOMENTS;

	if (!is_rogue)
		return pfi_strategy_sync.run(worker, user);
	while (moment == DRAINING && prefork_worker_check(worker) == PREFORK_CONTINUE)
		(void)poll(&readable, 1, -1);
	if (moment == BUSY)
		prefork_worker_busy(worker);
	misbehave(worker);
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

START_TEST(a_rogue_affects_itself_only)
{
	const int act = _i % ACTS, moment = _i / ACTS;
	/* The other worker boots within it, too, and may be slow. */
	const char *const boot_timeout = moment == BEFORE_READY ? stage_scaled(1500) : "60s";
	const char *const arguments[] = { "--timeout", stage_scaled(300), "--graceful-timeout", "400ms", "--boot-timeout",
					  boot_timeout, NULL };
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

	if (moment == DRAINING)
		PROMISE(kill(rogue, SIGTERM) == 0, "%s", name);
	stage_run_for(300);
	PROMISE(stage_cpu_ms() - before_ms < stage_patience_ms() / 50, "%s: the arbiter spins", name);
	/* In proportion to the time that this process has taken. */
	PROMISE((uint64_t)(stage.rounds - rounds) * 100 < 250 * (pfi_now_ms() - begun_ms), "%s: %d rounds", name,
		stage.rounds - rounds);
	expect_echo(name);
	/* Only the rogue may have exited. */
	PROMISE(stage.exited == 0 || (stage.exited == 1 && stage.last_exited == rogue), "%s: %s", name, stage.message);
	PROMISE(stage_log_count("\x1b") == 0 && stage_log_count("\n[CRITICAL] forged") == 0, "%s", name);
	PROMISE(prefork_arbiter_request_scale(stage.arbiter, 0, 4) == 0, "%s", name);
	PROMISE(stage_until(&stage.ready, 4), "%s", name);
	expect_echo(name);
	PROMISE(atomic_load(&orders->number) > 0, "%s: no action", name);
	PROMISE(stage_stop(true) == 0, "%s: %s", name, prefork_error());
}
END_TEST

/* Its timer was muted when the request began; in the second case all timers were, because the arbiter was dispatched
 * without events all the time. */
START_TEST(a_rogue_that_hangs_is_ended_though_its_timer_is_muted)
{
	/* Time for 100 turns of the arbiter on a busy machine: after that many it mutes the timer. */
	char timeout[sizeof "2147483647ms"];
	const char *const arguments[] = { "--timeout", timeout, NULL };

	(void)snprintf(timeout, sizeof timeout, "%dms", patience_ms(1000));
	atomic_store(&orders->mood, HANGS * MOMENTS + IDLE);
	stage_start(&parts, arguments);
	for (int i = 0; i < 1000 * _i; i++)
		PROMISE(prefork_arbiter_dispatch(stage.arbiter) == 1, "%s", prefork_error());
	PROMISE(stage_until(&stage.exited, 1), "it is not ended");
	PROMISE(stage.last_exited == (pid_t)atomic_load(&orders->pid), "%s", stage.message);
	PROMISE(stage.reason == PREFORK_REASON_TIMEOUT, "%s", stage.message);
	PROMISE(strstr(stage.message, "; a request that hangs") != NULL, "%s", stage.message);
	PROMISE(_i > 0 || stage_log_count("misbehaves: its watchdog timer") == 1, "it is not logged once");
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

START_TEST(the_arbiter_never_reads_a_watchdog_timer)
{
	static const char *const arguments[] = { NULL };

	atomic_store(&orders->mood, MAY_BLOCK * MOMENTS + IDLE);
	stage_start(&parts, arguments);
	PROMISE(stage_until(&stage.exited, 1), "it has not exited");
	PROMISE(strstr(stage.message, "exited with code 0") != NULL, "%s", stage.message);
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

int main(void)
{
	static const char *const names[] = { "before ready", "idle", "busy", "draining", "hangs" };
	Suite *const suite = suite_create("rogue");
	TCase *tc = NULL;

	/* Each case is a test of its own in meson, so that they run in parallel: they mostly wait. */
	for (int moment = 0; moment <= MOMENTS; moment++) {
		tc = tcase_create(names[moment]);
		tcase_set_timeout(tc, 120);
		tcase_add_checked_fixture(tc, stage_set_up, stage_tear_down);
		if (moment < MOMENTS)
			tcase_add_loop_test(tc, a_rogue_affects_itself_only, moment * ACTS, (moment + 1) * ACTS);
		suite_add_tcase(suite, tc);
	}
	tcase_add_loop_test(tc, a_rogue_that_hangs_is_ended_though_its_timer_is_muted, 0, 2);
	tcase_add_test(tc, the_arbiter_never_reads_a_watchdog_timer);

	return run_suite(suite);
}
