/*
 * Every interleaving of the watchdog protocol (lib/worker/liveness.c with
 * lib/arbiter/health.c), in a model small enough for a complete search: two threads
 * of one worker, the arbiter, the timerfd, a clock, and a store buffer per thread.
 * The arbiter must detect every request that hangs, wherever a thread is preempted.
 *
 * Each step that the proof needs can be left out; the search must then find a request
 * that hangs and is not detected. This proves that the test can fail.
 */
#include "../support.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

enum { THREADS = 2, CLOCK_MAX = 5, LAST_START = 2 };

/* The step that is left out. */
enum flaw {
	NONE,
	NO_FENCE,         /* the deadline may become visible after the clock is read     */
	CLOCK_TOO_EARLY,  /* the clock is read before the deadline is stored             */
	SET_BEFORE_STORE, /* the timer is set before the deadline is stored              */
	NO_LOCK,          /* two threads may set the timer at the same time              */
	NOT_WITHDRAWN,   /* others rely on the old time while the timer is set again    */
	EXPIRED_COUNTS, /* a timer that has expired counts, too                        */
	CLEARED_LATE, /* the arbiter reads the slots before it clears the event      */
	PENDING_FORGOTTEN, /* the arbiter does not remember deadlines that lie ahead     */
	FLAWS
};

/* The next step of a thread. Each step is atomic; any other step may come between two of them. */
enum step {
	IDLE, STORES, READS_CLOCK, CHECKS_TIMER, LOCKS, READS_CLOCK_AGAIN, CHECKS_TIMER_AGAIN,
	SCANS_FIRST, SCANS_SECOND, WITHDRAWS, SETS, RECORDS, UNLOCKS, BUSY, MOVES, HANGS, PLACES
};

/* The next step of the arbiter. */
enum arbiter_step { WAITS, CLEARS, READS_ONE, READS_OTHER, PLANS };

struct thread {
	uint8_t step;
	uint8_t left;     /* requests that it has not begun yet      */
	uint8_t deadline; /* of its current request                  */
	uint8_t now;      /* the clock as last read                  */
	uint8_t at;       /* the time for the timer                  */
	uint8_t buffer;   /* a store that is not visible yet, + 1    */
};

struct state {
	struct thread threads[THREADS];
	uint8_t deadlines[THREADS]; /* deadlines in the scoreboard           */
	uint8_t clock;
	uint8_t lock;     /* the thread that holds it, + 1              */
	uint8_t watchdog_at; /* when the timer expires, for the worker     */
	uint8_t timer;    /* when it expires, for the kernel; 0: unset  */
	uint8_t expired;    /* the timerfd is readable                    */
	uint8_t arbiter_step;
	uint8_t now;      /* the clock as last read by the arbiter      */
	uint8_t by_timer;    /* the check is for a timer event             */
	uint8_t next;     /* the first deadline ahead                   */
	uint8_t plan;     /* time of the next check, 0: none            */
	uint8_t detected;   /* a deadline has passed: the worker is ended */
};

static enum flaw flaw;
static const uint8_t timeouts[THREADS] = { 2, 1 };

/* ---- the worker ---- */

static bool is_covered(const struct state *state, const struct thread *thread)
{
	return (state->watchdog_at > thread->now || (flaw == EXPIRED_COUNTS && state->watchdog_at != 0)) &&
	       state->watchdog_at <= thread->deadline;
}

/* The deadline of thread `of` as thread `who` reads it. */
static uint8_t deadline_seen(const struct state *state, int who, int of)
{
	const uint8_t buffer = state->threads[of].buffer;

	return who == of && buffer != 0 ? (uint8_t)(buffer - 1) : state->deadlines[of];
}

static void scan(struct state *state, int who, int of)
{
	struct thread *const thread = &state->threads[who];
	const uint8_t deadline = deadline_seen(state, who, of);
	uint8_t at = deadline;

	if (deadline == 0)
		return;
	if (deadline <= thread->now) /* it has passed: the timer must expire soon */
		at = (uint8_t)(thread->now < CLOCK_MAX ? thread->now + 1 : CLOCK_MAX);
	if (thread->at == 0 || at < thread->at)
		thread->at = at;
}

static void begin(struct thread *thread, int who, uint8_t clock)
{
	thread->left--;
	thread->deadline = (uint8_t)(clock + timeouts[who]);
	thread->now = clock;
	thread->at = 0;
	thread->step = flaw == SET_BEFORE_STORE ? READS_CLOCK : STORES;
}

/* A busy thread begins its next request. If its deadline lies ahead, the deadline is moved. */
static void begin_next(struct state *state, int who)
{
	struct thread *const thread = &state->threads[who];
	const uint8_t before = deadline_seen(state, who, who);

	begin(thread, who, state->clock);
	if (flaw != SET_BEFORE_STORE && before > thread->now && before <= thread->deadline)
		thread->step = MOVES;
}

/* The step after the timer has been set. */
static uint8_t after_timer(void)
{
	return flaw == SET_BEFORE_STORE ? STORES : BUSY;
}

/* One step of thread `who`; false: it cannot make one. `choice` selects between several. */
static bool step_thread(struct state *state, int who, int choice)
{
	struct thread *const thread = &state->threads[who];

	if (choice > 0 && thread->step != BUSY)
		return false;
	switch ((enum step)thread->step) {
	case IDLE:
		if (thread->left == 0 || state->clock > LAST_START)
			return false;
		begin(thread, who, state->clock);
		return true;
	case STORES:
		if (thread->buffer != 0)
			return false;
		thread->buffer = (uint8_t)(thread->deadline + 1);
		thread->step = flaw == SET_BEFORE_STORE ? BUSY : READS_CLOCK;
		return true;
	case READS_CLOCK: /* behind a fence: the store is visible */
		if (thread->buffer != 0 && flaw != NO_FENCE)
			return false;
		if (flaw != CLOCK_TOO_EARLY)
			thread->now = state->clock;
		thread->step = CHECKS_TIMER;
		return true;
	case CHECKS_TIMER:
		thread->step = is_covered(state, thread) ? after_timer() : LOCKS;
		return true;
	case LOCKS:
		if (state->lock != 0 && flaw != NO_LOCK)
			return false;
		state->lock = (uint8_t)(who + 1);
		thread->step = READS_CLOCK_AGAIN;
		return true;
	case READS_CLOCK_AGAIN:
		if (flaw != CLOCK_TOO_EARLY)
			thread->now = state->clock;
		thread->step = CHECKS_TIMER_AGAIN;
		return true;
	case CHECKS_TIMER_AGAIN:
		thread->at = flaw == SET_BEFORE_STORE ? thread->deadline : 0;
		thread->step = is_covered(state, thread) ? UNLOCKS : SCANS_FIRST;
		return true;
	case SCANS_FIRST:
		scan(state, who, 0);
		thread->step = SCANS_SECOND;
		return true;
	case SCANS_SECOND:
		scan(state, who, 1);
		thread->step = flaw == NOT_WITHDRAWN ? SETS : WITHDRAWS;
		return true;
	case WITHDRAWS: /* no thread may rely on the old time */
		state->watchdog_at = 0;
		thread->step = SETS;
		return true;
	case SETS: /* timerfd_settime() discards an expiry that was not read */
		state->timer = thread->at;
		state->expired = 0;
		thread->step = RECORDS;
		return true;
	case RECORDS:
		state->watchdog_at = thread->at;
		thread->step = UNLOCKS;
		return true;
	case UNLOCKS:
		state->lock = 0;
		thread->step = after_timer();
		return true;
	case BUSY:
		if (choice == 0) {
			thread->step = HANGS;
		} else if (choice == 1) { /* done */
			if (thread->buffer != 0)
				return false;
			thread->buffer = 0 + 1;
			thread->step = IDLE;
		} else if (thread->left == 0 || state->clock > LAST_START) {
			return false;
		} else if (choice == 2) { /* it extends its deadline */
			begin(thread, who, state->clock);
		} else {
			begin_next(state, who);
		}
		return true;
	case MOVES:
		if (thread->buffer != 0)
			return false;
		thread->buffer = (uint8_t)(thread->deadline + 1);
		thread->step = BUSY;
		return true;
	default:
		return false;
	}
}

static bool become_visible(struct state *state, int who)
{
	struct thread *const thread = &state->threads[who];

	if (thread->buffer == 0)
		return false;
	state->deadlines[who] = (uint8_t)(thread->buffer - 1);
	thread->buffer = 0;
	return true;
}

/* ---- the arbiter, the kernel, the clock ---- */

static void read_deadline(struct state *state, int of)
{
	const uint8_t deadline = state->deadlines[of];

	if (deadline == 0)
		return;
	if (deadline <= state->now)
		state->detected = 1;
	else if (state->next == 0 || deadline < state->next)
		state->next = deadline;
}

static bool step_arbiter(struct state *state)
{
	switch ((enum arbiter_step)state->arbiter_step) {
	case WAITS:
		if (!state->expired && (state->plan == 0 || state->plan > state->clock))
			return false;
		state->now = state->clock;
		state->by_timer = state->expired;
		state->next = 0;
		state->arbiter_step = state->expired && flaw != CLEARED_LATE ? CLEARS : READS_ONE;
		return true;
	case CLEARS:
		state->expired = 0;
		state->arbiter_step = flaw == CLEARED_LATE ? WAITS : READS_ONE;
		return true;
	case READS_ONE:
		read_deadline(state, 0);
		state->arbiter_step = READS_OTHER;
		return true;
	case READS_OTHER:
		read_deadline(state, 1);
		state->arbiter_step = PLANS;
		return true;
	case PLANS:
		state->plan = flaw == PENDING_FORGOTTEN ? 0 : state->next;
		state->arbiter_step = flaw == CLEARED_LATE && state->by_timer ? CLEARS : WAITS;
		return true;
	}
	return false;
}

static bool expire(struct state *state)
{
	if (state->timer == 0 || state->timer > state->clock)
		return false;
	state->timer = 0;
	state->expired = 1;
	return true;
}

static bool tick(struct state *state)
{
	if (state->clock == CLOCK_MAX)
		return false;
	state->clock++;
	return true;
}

/* ---- the search ---- */

enum { CHOICES = 4, STEPS = THREADS * CHOICES + THREADS + 3 };

/* Make step number `step`; false: it is not possible now. */
static bool make(struct state *state, int step)
{
	if (step < THREADS * CHOICES)
		return step_thread(state, step / CHOICES, step % CHOICES);
	step -= THREADS * CHOICES;
	if (step < THREADS)
		return become_visible(state, step);
	step -= THREADS;
	return step == 0 ? step_arbiter(state) : step == 1 ? expire(state) : tick(state);
}

enum { TABLE_BITS = 22, NOWHERE = UINT32_MAX };

/* A state and the step that led to it. */
struct entry {
	struct state state;
	bool taken;
	uint8_t step;
	uint32_t before; /* index of the state before it */
};

static struct {
	struct entry *entries; /* open addressing */
	uint32_t *stack;       /* indices of states whose steps have not been made yet */
	uint32_t count, depth;
} search;

static uint32_t hash_of(const struct state *state)
{
	const unsigned char *const bytes = (const unsigned char *)state;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < sizeof *state; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash ^ hash >> 32) & ((1U << TABLE_BITS) - 1);
}

/* Clears what no later step reads, so that states that differ only in it are one. */
static void clear_unread(struct state *state)
{
	for (int i = 0; i < THREADS; i++) {
		struct thread *const thread = &state->threads[i];

		if (thread->step == IDLE || thread->step == BUSY || thread->step == HANGS)
			thread->deadline = thread->now = thread->at = 0;
		if (thread->step == HANGS || state->clock > LAST_START)
			thread->left = 0;
		if (thread->step == UNLOCKS && flaw != SET_BEFORE_STORE)
			thread->deadline = thread->now = thread->at = 0;
		if (thread->step == MOVES || thread->step == STORES)
			thread->at = 0;
	}
	if (state->arbiter_step == WAITS)
		state->now = state->next = state->by_timer = 0;
	if (state->plan != 0 && state->plan < state->clock)
		state->plan = state->clock;
	if (state->timer != 0 && state->timer < state->clock)
		state->timer = state->clock;
}

/* Adds a state, unless it has been reached before. */
static void reach(const struct state *state, uint32_t before, int step)
{
	uint32_t at = hash_of(state);

	for (; search.entries[at].taken; at = (at + 1) & ((1U << TABLE_BITS) - 1)) {
		if (memcmp(&search.entries[at].state, state, sizeof *state) == 0)
			return;
	}
	search.entries[at] = (struct entry){ *state, true, (uint8_t)step, before };
	search.stack[search.depth++] = at;
	if (++search.count > (1U << TABLE_BITS) / 4 * 3)
		ck_abort_msg("the model has more states than the table can hold");
}

static void print_path_to(uint32_t at)
{
	const struct entry *const entry = &search.entries[at];
	const struct state *const now = &entry->state;

	if (entry->before != NOWHERE)
		print_path_to(entry->before);
	printf("step %2d: clock %d, watchdog at %d, timer %d, expired %d, arbiter %d (clock %d, plan %d)", entry->step, now->clock,
	       now->watchdog_at, now->timer, now->expired, now->arbiter_step, now->now, now->plan);
	for (int i = 0; i < THREADS; i++)
		printf(", thread at %d (clock %d, deadline %d, visible %d, buffer %d)", now->threads[i].step,
		       now->threads[i].now, now->threads[i].deadline, now->deadlines[i], now->threads[i].buffer - 1);
	printf("\n");
	fflush(stdout); /* before the failure ends the process */
}

/* In a state without a next step. */
static bool has_no_hung_request(const struct state *state)
{
	for (int i = 0; i < THREADS; i++) {
		if (state->threads[i].step == HANGS)
			return false;
	}
	return true;
}

/* True: every path through the model detects every request that hangs. */
static bool every_hang_is_detected(uint8_t requests_of_first, uint8_t requests_of_second)
{
	const struct state start = { .threads = { { .left = requests_of_first }, { .left = requests_of_second } } };

	memset(search.entries, 0, sizeof *search.entries << TABLE_BITS);
	search.count = search.depth = 0;
	reach(&start, NOWHERE, 0);
	while (search.depth > 0) {
		const uint32_t at = search.stack[--search.depth];
		bool ends = true;

		if (search.entries[at].state.detected)
			continue; /* no step of its threads matters */

		for (int step = 0; step < STEPS; step++) {
			struct state next = search.entries[at].state;

			if (!make(&next, step))
				continue;
			ends = false;
			clear_unread(&next);
			reach(&next, at, step);
		}
		if (ends && !has_no_hung_request(&search.entries[at].state)) {
			if (flaw == NONE)
				print_path_to(at);
			return false;
		}
	}
	return true;
}

static void open_search(void)
{
	search.entries = malloc(sizeof *search.entries << TABLE_BITS);
	search.stack = malloc(sizeof *search.stack << TABLE_BITS);
	ck_assert(search.entries != NULL && search.stack != NULL);
}

static void close_search(void)
{
	free(search.entries);
	free(search.stack);
}

START_TEST(every_hung_request_is_detected_and_no_step_can_be_left_out)
{
	flaw = (enum flaw)_i;
	const bool detected = every_hang_is_detected(2, 1);

	printf("interleavings: flaw %d: %s after %" PRIu32 " states\n", _i,
	       detected ? "every hung request is detected" : "a hung request is not detected", search.count);
	fflush(stdout);
	ck_assert_int_eq(detected, flaw == NONE);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("interleavings");
	TCase *const tc = new_case(suite, "interleavings");

	tcase_set_timeout(tc, 0); /* meson has one */
	tcase_add_checked_fixture(tc, open_search, close_search);
	tcase_add_loop_test(tc, every_hung_request_is_detected_and_no_step_can_be_left_out, 0, FLAWS);
	return run_suite(suite);
}
