/*
 * Every interleaving of the watch protocol (lib/worker/liveness.c with
 * lib/arbiter/health.c), in a model small enough to walk: two threads of one
 * worker, the arbiter, the kernel's timer, a clock, and a store buffer for each
 * thread. A request that hangs has to be seen, whoever is held up wherever.
 *
 * Each line of the protocol that the proof rests on can be left out; then the walk
 * must find a request that hangs unseen. So the test knows that it can fail.
 */
#include <check.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 2, CLOCK_MAX = 5, LAST_START = 2 };

/* What is left out. */
enum flaw {
	NONE,
	NO_FENCE,         /* the deadline may become visible after the look at the clock */
	CLOCK_TOO_EARLY,  /* the clock is read before the deadline is stored             */
	SET_BEFORE_STORE, /* the watch is set before the deadline is stored              */
	NO_LOCK,          /* two threads may set the watch in each other's midst         */
	NOT_TAKEN_BACK,   /* others rely on the old time while the watch is set anew     */
	ANY_WATCH_COVERS, /* a watch that has gone off counts, too                       */
	CLEARED_TOO_LATE, /* the arbiter looks first and then makes the watch unreadable */
	PENDING_FORGOTTEN, /* the arbiter does not plan for deadlines that are to come   */
	FLAWS
};

/* Where a thread is. What it does there is done in one go; in between, anything may happen. */
enum place {
	RESTS, STORES, READS_CLOCK, ASKS_COVER, LOCKS, READS_CLOCK_AGAIN, ASKS_COVER_AGAIN,
	SCANS_FIRST, SCANS_SECOND, TAKES_BACK, SETS, NOTES, UNLOCKS, WORKS, MOVES, HANGS, PLACES
};

/* Where the arbiter is. */
enum post { WAITS, CLEARS, SCANS_ONE, SCANS_OTHER, PLANS };

struct thread {
	uint8_t place;
	uint8_t left;     /* requests that it may still begin        */
	uint8_t deadline; /* of the one in hand                      */
	uint8_t now;      /* the clock, as it read it                */
	uint8_t at;       /* what it will set the watch to           */
	uint8_t buffer;   /* a store that others do not see yet, + 1 */
};

struct state {
	struct thread threads[THREADS];
	uint8_t words[THREADS]; /* on the page                          */
	uint8_t clock;
	uint8_t lock;     /* who has it, + 1                            */
	uint8_t watch_at; /* what the worker believes                   */
	uint8_t timer;    /* of the kernel; 0: not set                  */
	uint8_t fired;    /* it is readable                             */
	uint8_t post;
	uint8_t now;      /* the clock, as the arbiter read it          */
	uint8_t looks;    /* because the watch fired, not by plan       */
	uint8_t next;     /* the first deadline to come that it found   */
	uint8_t plan;     /* when it will look by itself, 0: never      */
	uint8_t doomed;   /* it has seen one late: this worker is ended */
};

static enum flaw flaw;
static const uint8_t timeouts[THREADS] = { 2, 1 };

/* ---- the worker ---- */

static bool is_covered(const struct state *state, const struct thread *thread)
{
	return (state->watch_at > thread->now || (flaw == ANY_WATCH_COVERS && state->watch_at != 0)) &&
	       state->watch_at <= thread->deadline;
}

/* The word of thread `of` as thread `who` sees it. */
static uint8_t word_seen(const struct state *state, int who, int of)
{
	const uint8_t buffer = state->threads[of].buffer;

	return who == of && buffer != 0 ? (uint8_t)(buffer - 1) : state->words[of];
}

static void scan(struct state *state, int who, int of)
{
	struct thread *const thread = &state->threads[who];
	const uint8_t word = word_seen(state, who, of);
	uint8_t at = word;

	if (word == 0)
		return;
	if (word <= thread->now) /* late: not set to what has passed, but to soon */
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
	thread->place = flaw == SET_BEFORE_STORE ? READS_CLOCK : STORES;
}

/* A busy thread begins the next piece of work: what it has promised lies ahead, and is moved. */
static void begin_next(struct state *state, int who)
{
	struct thread *const thread = &state->threads[who];
	const uint8_t before = word_seen(state, who, who);

	begin(thread, who, state->clock);
	if (flaw != SET_BEFORE_STORE && before > thread->now && before <= thread->deadline)
		thread->place = MOVES;
}

/* After the watch is in order. */
static uint8_t after_watch(void)
{
	return flaw == SET_BEFORE_STORE ? STORES : WORKS;
}

/* One step of thread `who`; false: it cannot take one. `choice` where there are several. */
static bool step_thread(struct state *state, int who, int choice)
{
	struct thread *const thread = &state->threads[who];

	if (choice > 0 && thread->place != WORKS)
		return false;
	switch ((enum place)thread->place) {
	case RESTS:
		if (thread->left == 0 || state->clock > LAST_START)
			return false;
		begin(thread, who, state->clock);
		return true;
	case STORES:
		if (thread->buffer != 0)
			return false;
		thread->buffer = (uint8_t)(thread->deadline + 1);
		thread->place = flaw == SET_BEFORE_STORE ? WORKS : READS_CLOCK;
		return true;
	case READS_CLOCK: /* behind a fence: what was stored is visible */
		if (thread->buffer != 0 && flaw != NO_FENCE)
			return false;
		if (flaw != CLOCK_TOO_EARLY)
			thread->now = state->clock;
		thread->place = ASKS_COVER;
		return true;
	case ASKS_COVER:
		thread->place = is_covered(state, thread) ? after_watch() : LOCKS;
		return true;
	case LOCKS:
		if (state->lock != 0 && flaw != NO_LOCK)
			return false;
		state->lock = (uint8_t)(who + 1);
		thread->place = READS_CLOCK_AGAIN;
		return true;
	case READS_CLOCK_AGAIN:
		if (flaw != CLOCK_TOO_EARLY)
			thread->now = state->clock;
		thread->place = ASKS_COVER_AGAIN;
		return true;
	case ASKS_COVER_AGAIN:
		thread->at = flaw == SET_BEFORE_STORE ? thread->deadline : 0;
		thread->place = is_covered(state, thread) ? UNLOCKS : SCANS_FIRST;
		return true;
	case SCANS_FIRST:
		scan(state, who, 0);
		thread->place = SCANS_SECOND;
		return true;
	case SCANS_SECOND:
		scan(state, who, 1);
		thread->place = flaw == NOT_TAKEN_BACK ? SETS : TAKES_BACK;
		return true;
	case TAKES_BACK: /* nobody relies on what the watch was set for */
		state->watch_at = 0;
		thread->place = SETS;
		return true;
	case SETS: /* what had fired before is forgotten by the kernel */
		state->timer = thread->at;
		state->fired = 0;
		thread->place = NOTES;
		return true;
	case NOTES:
		state->watch_at = thread->at;
		thread->place = UNLOCKS;
		return true;
	case UNLOCKS:
		state->lock = 0;
		thread->place = after_watch();
		return true;
	case WORKS:
		if (choice == 0) {
			thread->place = HANGS;
		} else if (choice == 1) { /* done */
			if (thread->buffer != 0)
				return false;
			thread->buffer = 0 + 1;
			thread->place = RESTS;
		} else if (thread->left == 0 || state->clock > LAST_START) {
			return false;
		} else if (choice == 2) { /* it asks for more time */
			begin(thread, who, state->clock);
		} else {
			begin_next(state, who);
		}
		return true;
	case MOVES:
		if (thread->buffer != 0)
			return false;
		thread->buffer = (uint8_t)(thread->deadline + 1);
		thread->place = WORKS;
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
	state->words[who] = (uint8_t)(thread->buffer - 1);
	thread->buffer = 0;
	return true;
}

/* ---- the arbiter, the kernel, the clock ---- */

static void read_word(struct state *state, int of)
{
	const uint8_t word = state->words[of];

	if (word == 0)
		return;
	if (word <= state->now)
		state->doomed = 1;
	else if (state->next == 0 || word < state->next)
		state->next = word;
}

static bool step_arbiter(struct state *state)
{
	switch ((enum post)state->post) {
	case WAITS:
		if (!state->fired && (state->plan == 0 || state->plan > state->clock))
			return false;
		state->now = state->clock;
		state->looks = state->fired;
		state->next = 0;
		state->post = state->fired && flaw != CLEARED_TOO_LATE ? CLEARS : SCANS_ONE;
		return true;
	case CLEARS:
		state->fired = 0;
		state->post = flaw == CLEARED_TOO_LATE ? WAITS : SCANS_ONE;
		return true;
	case SCANS_ONE:
		read_word(state, 0);
		state->post = SCANS_OTHER;
		return true;
	case SCANS_OTHER:
		read_word(state, 1);
		state->post = PLANS;
		return true;
	case PLANS:
		state->plan = flaw == PENDING_FORGOTTEN ? 0 : state->next;
		state->post = flaw == CLEARED_TOO_LATE && state->looks ? CLEARS : WAITS;
		return true;
	}
	return false;
}

static bool fire(struct state *state)
{
	if (state->timer == 0 || state->timer > state->clock)
		return false;
	state->timer = 0;
	state->fired = 1;
	return true;
}

static bool tick(struct state *state)
{
	if (state->clock == CLOCK_MAX)
		return false;
	state->clock++;
	return true;
}

/* ---- the walk ---- */

enum { CHOICES = 4, STEPS = THREADS * CHOICES + THREADS + 3 };

/* Take step number `step`; false: it cannot be taken now. */
static bool take(struct state *state, int step)
{
	if (step < THREADS * CHOICES)
		return step_thread(state, step / CHOICES, step % CHOICES);
	step -= THREADS * CHOICES;
	if (step < THREADS)
		return become_visible(state, step);
	step -= THREADS;
	return step == 0 ? step_arbiter(state) : step == 1 ? fire(state) : tick(state);
}

enum { TABLE_BITS = 22, NOWHERE = UINT32_MAX };

/* A state that was reached, and how. */
struct entry {
	struct state state;
	bool taken;
	uint8_t step;
	uint32_t before; /* where the state before it lies */
};

static struct {
	struct entry *entries; /* open addressing */
	uint32_t *stack;       /* where those lie that are still to be looked at */
	uint32_t count, depth;
} walk;

static uint32_t hash_of(const struct state *state)
{
	const unsigned char *const bytes = (const unsigned char *)state;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < sizeof *state; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash ^ hash >> 32) & ((1U << TABLE_BITS) - 1);
}

/* What nobody will read any more makes no difference between two states. */
static void forget(struct state *state)
{
	for (int i = 0; i < THREADS; i++) {
		struct thread *const thread = &state->threads[i];

		if (thread->place == RESTS || thread->place == WORKS || thread->place == HANGS)
			thread->deadline = thread->now = thread->at = 0;
		if (thread->place == HANGS || state->clock > LAST_START)
			thread->left = 0;
		if (thread->place == UNLOCKS && flaw != SET_BEFORE_STORE)
			thread->deadline = thread->now = thread->at = 0;
		if (thread->place == MOVES || thread->place == STORES)
			thread->at = 0;
	}
	if (state->post == WAITS)
		state->now = state->next = state->looks = 0;
	if (state->plan != 0 && state->plan < state->clock)
		state->plan = state->clock;
	if (state->timer != 0 && state->timer < state->clock)
		state->timer = state->clock;
}

/* To be looked at, unless it was reached before. */
static void reach(const struct state *state, uint32_t before, int step)
{
	uint32_t at = hash_of(state);

	for (; walk.entries[at].taken; at = (at + 1) & ((1U << TABLE_BITS) - 1)) {
		if (memcmp(&walk.entries[at].state, state, sizeof *state) == 0)
			return;
	}
	walk.entries[at] = (struct entry){ *state, true, (uint8_t)step, before };
	walk.stack[walk.depth++] = at;
	if (++walk.count > (1U << TABLE_BITS) / 4 * 3)
		ck_abort_msg("the model is too large");
}

static void tell_way_to(uint32_t at)
{
	const struct entry *const entry = &walk.entries[at];
	const struct state *const now = &entry->state;

	if (entry->before != NOWHERE)
		tell_way_to(entry->before);
	printf("step %2d: clock %d, watch at %d, timer %d, fired %d, arbiter %d (clock %d, plan %d)", entry->step, now->clock,
	       now->watch_at, now->timer, now->fired, now->post, now->now, now->plan);
	for (int i = 0; i < THREADS; i++)
		printf(", thread at %d (clock %d, deadline %d, page %d, buffer %d)", now->threads[i].place,
		       now->threads[i].now, now->threads[i].deadline, now->words[i], now->threads[i].buffer - 1);
	printf("\n");
	fflush(stdout); /* the test ends without */
}

/* Nothing can happen any more. */
static bool is_well(const struct state *state)
{
	for (int i = 0; i < THREADS; i++) {
		if (state->threads[i].place == HANGS)
			return false;
	}
	return true;
}

/* True when no way through the model leaves a request that hangs unseen. */
static bool all_is_seen(uint8_t requests_of_first, uint8_t requests_of_second)
{
	const struct state start = { .threads = { { .left = requests_of_first }, { .left = requests_of_second } } };

	memset(walk.entries, 0, sizeof *walk.entries << TABLE_BITS);
	walk.count = walk.depth = 0;
	reach(&start, NOWHERE, 0);
	while (walk.depth > 0) {
		const uint32_t at = walk.stack[--walk.depth];
		bool ends = true;

		if (walk.entries[at].state.doomed)
			continue; /* with all its threads, whatever they do */

		for (int step = 0; step < STEPS; step++) {
			struct state next = walk.entries[at].state;

			if (!take(&next, step))
				continue;
			ends = false;
			forget(&next);
			reach(&next, at, step);
		}
		if (ends && !is_well(&walk.entries[at].state)) {
			if (flaw == NONE)
				tell_way_to(at);
			return false;
		}
	}
	return true;
}

static void set_up(void)
{
	walk.entries = malloc(sizeof *walk.entries << TABLE_BITS);
	walk.stack = malloc(sizeof *walk.stack << TABLE_BITS);
	ck_assert(walk.entries != NULL && walk.stack != NULL);
}

static void tear_down(void)
{
	free(walk.entries);
	free(walk.stack);
}

START_TEST(no_request_hangs_unseen_and_each_line_is_needed)
{
	flaw = (enum flaw)_i;
	const bool well = all_is_seen(2, 1);

	printf("interleavings: flaw %d: %s after %" PRIu32 " states\n", _i, well ? "all is seen" : "one is not seen", walk.count);
	fflush(stdout);
	ck_assert_int_eq(well, flaw == NONE);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("interleavings");
	TCase *const tc = tcase_create("interleavings");

	tcase_set_timeout(tc, 0); /* meson has one */
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, no_request_hangs_unseen_and_each_line_is_needed, 0, FLAWS);
	suite_add_tcase(suite, tc);

	SRunner *const runner = srunner_create(suite);

	srunner_run_all(runner, CK_ENV);
	const int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
