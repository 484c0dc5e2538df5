/*
 * The whole supervisor under a virtual clock: random workers, random deaths,
 * random operators. After every step the promises of the library are checked.
 *
 * SIM_STEPS and SIM_SEED choose how long and which; the seed is printed, so a
 * failure can be lived through again.
 */
#include "model/deadline.h"
#include "model/supervisor.h"

#include <prefork/error.h>
#include <prefork/worker.h>

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOLS_MAX = 3, WORKERS_MAX = 5, SURGE_MAX = 2, SEATS_MAX = 2 * WORKERS_MAX + SURGE_MAX + 1, WORDS = 3 };
enum { NEVER_DIES_MS = 40000, GENERATIONS = 1 << 12 };

/* What a process will do if nobody interferes. */
struct process {
	uint64_t ready_at_ms; /* 0: never says so */
	uint64_t dies_at_ms;  /* 0: lives on */
	uint64_t says_leave_at_ms;
	uint64_t words[WORDS];
	uint64_t done_at_ms[WORDS]; /* when the work ends; 0: it hangs */
	uint64_t hung_since_ms;     /* first deadline of a request that hangs, 0: none */
	enum prefork_reason reason;
	uint64_t requests;
	bool deaf;      /* to TERM, QUIT and ABRT */
	bool in_kernel; /* SIGKILL takes long */
	bool garbage;   /* scribbles on its page */
};

struct world {
	uint64_t now_ms;
	uint64_t seed;
	struct pfi_supervisor supervisor;
	struct pfi_pool pools[POOLS_MAX];
	struct pfi_slot slots[POOLS_MAX][SEATS_MAX];
	struct process processes[POOLS_MAX][SEATS_MAX];
	uint32_t seats;
	uint32_t generation;
	uint8_t quality[GENERATIONS];                 /* of the code: 0 good .. 3 never boots */
	bool has_been_ready[POOLS_MAX][GENERATIONS];
	uint64_t reloads, verdicts;
	uint64_t stop_at_ms;  /* 0: runs */
	uint64_t excused_ms;  /* time lost to suspends and graces since the world began */
	uint64_t spawns;
	uint64_t asked_spawns; /* what operators may have caused of them */
	uint64_t began_ms;
	uint32_t targets[POOLS_MAX]; /* when the reload under way began        */
	bool scaled[POOLS_MAX];      /* since then                             */
	uint32_t fall_back;    /* what is wanted if the reload under way fails */
	bool overslept;        /* this turn comes much too late                */
	uint64_t unrest;       /* operators do something every so many steps   */
	bool outage;           /* nothing can start: a database is down        */
	bool calm;             /* nothing fails any more                       */
};

static struct world w;

/* ck_assert() writes a mark each time, which is most of the work when there are millions. */
#define promise(condition) \
	do { \
		if (!(condition)) \
			ck_abort_msg("at %" PRIu64 " ms: %s", w.now_ms, #condition); \
	} while (0)

static uint64_t pick(uint64_t below)
{
	return pfi_chance(&w.seed) % below;
}

static bool one_in(uint64_t n)
{
	return !w.calm && pick(n) == 0;
}

static void random_policy(struct pfi_policy *policy)
{
	*policy = (struct pfi_policy){
		.workers_max = 1 + (uint32_t)pick(WORKERS_MAX),
		.surge = (uint32_t)pick(SURGE_MAX + 1),
		.max_unavailable = (uint32_t)pick(2),
		.boot_timeout_ms = 1000 + pick(4000),
		.request_timeout_ms = 1000 + pick(9000),
		.graceful_timeout_ms = 1000 + pick(9000),
		.abort_timeout_ms = pick(3) ? 500 + pick(1000) : 0,
		.canary_ms = pick(2) ? pick(2000) : 0,
		.healthy_ms = 1000,
		.on_failing = pick(8) ? PFI_ON_FAILING_KEEP : PFI_ON_FAILING_STOP,
		.boot = { 5, 60000, 500, 30000 },
		.run = { pick(2) ? 100 : 3, 10000, 500, 30000 },
	};
}

static void create_world(uint64_t seed)
{
	const uint64_t now_ms = 1000000;

	memset(&w, 0, sizeof w);
	w.seed = seed;
	w.now_ms = w.began_ms = now_ms;
	w.generation = 1;
	w.seats = SEATS_MAX;
	const uint32_t pools = 1 + (uint32_t)pick(POOLS_MAX);
	for (uint32_t p = 0; p < pools; p++) {
		random_policy(&w.pools[p].policy);
		w.pools[p].roster = (struct pfi_roster){ w.slots[p], SEATS_MAX };
		w.pools[p].target = 1 + (uint32_t)pick(w.pools[p].policy.workers_max);
	}
	pfi_supervisor_init(&w.supervisor, w.pools, pools, w.seed | 1);
	w.supervisor.linger_ms = pick(2) ? 100 : 0;
	w.supervisor.linger_max_ms = 5000;
	w.unrest = pick(2) ? 1 : 50;
}

/* ---- the workers ---- */

static void give_work(struct process *process, const struct pfi_policy *policy)
{
	const uint32_t word = (uint32_t)pick(WORDS);

	if (process->words[word] != 0)
		return;
	process->words[word] = w.now_ms + policy->request_timeout_ms;
	if (one_in(40)) {
		process->done_at_ms[word] = 0;
		if (process->hung_since_ms == 0 || process->words[word] < process->hung_since_ms)
			process->hung_since_ms = process->words[word];
	} else {
		process->done_at_ms[word] = w.now_ms + 1 + pick(policy->request_timeout_ms);
	}
}

static void do_work(struct process *process)
{
	for (uint32_t i = 0; i < WORDS; i++) {
		if (process->words[i] != 0 && process->done_at_ms[i] != 0 && process->done_at_ms[i] <= w.now_ms) {
			process->words[i] = 0;
			process->requests++;
		}
	}
	if (process->garbage)
		process->words[pick(WORDS)] = pick(2) ? pfi_chance(&w.seed) : w.now_ms - pick(1000);
}

static void birth(uint32_t p, uint32_t slot, uint32_t generation)
{
	struct process *const process = &w.processes[p][slot];
	const uint8_t quality = w.calm ? 0 : w.outage ? 3 : w.quality[generation];
	static const enum prefork_reason boot_reasons[] = {
		PREFORK_REASON_BOOT, PREFORK_REASON_APP, PREFORK_REASON_SICK, PREFORK_REASON_CRASHED,
		PREFORK_REASON_KILLED, PREFORK_REASON_UNKNOWN,
	};

	*process = (struct process){ .reason = PREFORK_REASON_CRASHED };
	process->deaf = one_in(10);
	process->in_kernel = one_in(50);
	if (quality == 3 || one_in(quality == 2 ? 2 : 20)) {
		process->dies_at_ms = w.now_ms + pick(quality == 3 ? 20 : 1000);
		process->reason = boot_reasons[pick(sizeof boot_reasons / sizeof boot_reasons[0])];
		if (one_in(5))
			process->dies_at_ms = 0; /* hangs before it is ready */
		if (one_in(200))
			process->reason = PREFORK_REASON_FATAL;
		return;
	}
	process->ready_at_ms = w.now_ms + pick(500);
	process->garbage = one_in(100);
	if (quality == 1 || one_in(20)) {
		process->dies_at_ms = process->ready_at_ms + pick(quality == 1 ? 300 : 60000);
		process->reason = pick(3) ? PREFORK_REASON_CRASHED : PREFORK_REASON_RECYCLED;
	}
	if (one_in(10))
		process->says_leave_at_ms = process->ready_at_ms + 1 + pick(30000);
}

static uint64_t next_of_world(void)
{
	uint64_t at_ms = 0;

	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.seats; s++) {
			const struct process *const process = &w.processes[p][s];

			if (w.slots[p][s].state == PFI_STATE_EMPTY)
				continue;
			if (w.slots[p][s].state == PFI_STATE_BOOTING)
				at_ms = pfi_earlier_ms(at_ms, process->ready_at_ms);
			at_ms = pfi_earlier_ms(at_ms, process->dies_at_ms);
		}
	}
	return at_ms;
}

/* ---- promises ---- */

static uint32_t count_ready(uint32_t p)
{
	uint32_t ready = 0;

	for (uint32_t s = 0; s < w.seats; s++)
		ready += w.slots[p][s].state == PFI_STATE_SERVING;
	return ready;
}

static uint32_t is_ready(uint32_t p, uint32_t slot)
{
	return slot < w.seats && w.slots[p][slot].state == PFI_STATE_SERVING;
}

static void check_order(uint32_t p, const struct pfi_order *order)
{
	const struct pfi_slot *const slot = &w.slots[p][order->slot];
	const struct process *const process = &w.processes[p][order->slot];
	const struct pfi_pool *const pool = &w.pools[p];
	const uint32_t wanted = pfi_pool_wanted(pool);

	promise(order->slot < w.seats);
	promise(pfi_lifecycle_step(slot->state, order->event).action != PFI_ACTION_REFUSE);
	if (order->event == PFI_EVENT_FORKED)
		promise(w.supervisor.phase < PFI_PHASE_LEAVING);
	if (order->event == PFI_EVENT_LATE || order->event == PFI_EVENT_STUCK) {
		const struct pfi_look look = pfi_deadline_look(process->words, WORDS, w.now_ms);

		promise(look.late > 0); /* an idle worker is never killed for silence */
	}
	if (slot->state == PFI_STATE_SERVING)
		promise(order->event != PFI_EVENT_OVERDUE);
	/* After a suspend nobody is judged on the first look. */
	if (w.overslept)
		promise(order->event == PFI_EVENT_FORKED || order->event == PFI_EVENT_RETIRE ||
			  order->event == PFI_EVENT_HURRY);
	/* Nobody takes back what is being proved, nor touches what it may replace. */
	if (w.supervisor.rollout.state == PFI_ROLLOUT_PROVING && order->event == PFI_EVENT_RETIRE) {
		promise(order->slot != pool->canary.slot);
		if (slot->state == PFI_STATE_SERVING)
			promise(count_ready(p) - is_ready(p, pool->canary.slot) > wanted);
	}
	if (order->event != PFI_EVENT_RETIRE || slot->state != PFI_STATE_SERVING ||
	    w.supervisor.phase >= PFI_PHASE_LEAVING)
		return;

	/* Never fewer than wanted, save by the policy's own leave. */
	const uint32_t ready = count_ready(p);
	const uint32_t most = wanted < ready ? wanted : ready;
	const uint32_t spare = pool->policy.max_unavailable;

	promise(ready - 1 + spare >= most);
	/* A generation that never became ready never makes a ready one leave. */
	if (slot->generation < w.supervisor.rollout.wanted && wanted > 0)
		promise(w.has_been_ready[p][w.supervisor.rollout.wanted] || ready > wanted);
}

static void check_numbers(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		const struct pfi_pool *const pool = &w.pools[p];
		uint32_t staying = 0;

		for (uint32_t s = 0; s < w.seats; s++) {
			const struct process *const process = &w.processes[p][s];
			const struct pfi_slot *const slot = &w.slots[p][s];
			const uint64_t step_ms = pool->policy.abort_timeout_ms ? pool->policy.abort_timeout_ms : 1000;

			staying += pfi_slot_is_staying(slot);
			if (slot->state >= PFI_STATE_SERVING && slot->state <= PFI_STATE_DRAINING &&
			    w.now_ms >= w.supervisor.spare_until_ms) /* nobody else is at work: at once */
				promise(slot->late == 0 || slot->busy > slot->late);
			if (slot->state == PFI_STATE_EMPTY || process->hung_since_ms == 0)
				continue;
			/* A stuck one is gone within timeout and ladder. */
			promise(w.now_ms <= process->hung_since_ms + step_ms + pool->policy.graceful_timeout_ms +
							    (process->in_kernel ? NEVER_DIES_MS : 0) + 100 + w.excused_ms);
		}
		if (w.supervisor.phase == PFI_PHASE_RUNNING)
			promise(staying <= pool->target + (pool->policy.surge > 1 ? pool->policy.surge : 1) + 1);
		/* What a candidate wants is not done before it is proved. */
		if (w.supervisor.rollout.state == PFI_ROLLOUT_PROVING)
			promise(w.scaled[p] || pool->target == w.targets[p]);
		promise(pool->target <= pool->policy.workers_max);
	}
	promise(w.reloads == w.verdicts + (w.supervisor.rollout.state != PFI_ROLLOUT_IDLE) + w.supervisor.owed.given);
}

/* Nobody is started faster than the budgets allow, whatever the workers do. */
static void check_spawn_rate(void)
{
	const uint64_t elapsed_ms = w.now_ms - w.began_ms;
	uint64_t most = w.asked_spawns;

	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		const struct pfi_policy *const policy = &w.pools[p].policy;

		/* A failed boot is followed by a wait of 400 ms at least. */
		most += (elapsed_ms / policy->run.period_ms + 2) * (policy->run.failures_max + 10);
		most += elapsed_ms / 400 + policy->workers_max;
	}
	promise(w.spawns <= most);
}

static void check_stop(void)
{
	uint64_t most_ms = w.supervisor.linger_max_ms;

	if (w.stop_at_ms == 0 && w.supervisor.phase != PFI_PHASE_RUNNING)
		w.stop_at_ms = w.now_ms; /* it gave up by itself */
	if (w.stop_at_ms == 0)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
		most_ms += w.pools[p].policy.graceful_timeout_ms + 3000;
	promise(w.now_ms <= w.stop_at_ms + most_ms + NEVER_DIES_MS + 1000 + w.excused_ms);
}

/* ---- the arbiter ---- */

static void note_ruling(struct pfi_ruling ruling)
{
	if (!ruling.given)
		return;
	w.verdicts++;
	if (ruling.verdict == PREFORK_RELOAD_FAILED) {
		promise(w.supervisor.rollout.wanted == w.fall_back);
		for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
			promise(w.scaled[p] || w.pools[p].target == w.targets[p]);
	}
	if (ruling.verdict == PREFORK_RELOAD_DONE)
		promise(w.supervisor.rollout.wanted == ruling.generation);
}

static void carry_out(uint32_t p, const struct pfi_order *order)
{
	struct process *const process = &w.processes[p][order->slot];
	uint64_t soon_ms = w.now_ms + 1 + pick(20);

	check_order(p, order);
	if (order->event == PFI_EVENT_FORKED) {
		w.spawns++;
		if (one_in(100)) {
			pfi_supervisor_fork_failed(&w.supervisor, p, order->generation, w.now_ms);
			return;
		}
		pfi_supervisor_forked(&w.supervisor, p, order->slot, order->generation, w.now_ms);
		birth(p, order->slot, order->generation);
		return;
	}
	switch (pfi_supervisor_tell(&w.supervisor, p, order->slot, order->event, w.now_ms)) {
	case PFI_ACTION_ASK_LEAVE:
	case PFI_ACTION_DUMP:
		soon_ms += pick(w.pools[p].policy.graceful_timeout_ms * 3 / 2);
		if (!process->deaf && process->hung_since_ms == 0)
			process->dies_at_ms = pfi_earlier_ms(process->dies_at_ms, soon_ms);
		break;
	case PFI_ACTION_ASK_QUIT:
	case PFI_ACTION_ABORT:
		if (!process->deaf)
			process->dies_at_ms = pfi_earlier_ms(process->dies_at_ms, soon_ms);
		break;
	case PFI_ACTION_KILL:
		process->dies_at_ms = pfi_earlier_ms(process->dies_at_ms,
						     process->in_kernel ? w.now_ms + pick(NEVER_DIES_MS) : soon_ms);
		break;
	default:
		ck_abort_msg("an order without an action");
	}
}

static void look_at_pages(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.seats; s++) {
			struct pfi_slot *const slot = &w.slots[p][s];

			if (slot->state == PFI_STATE_EMPTY)
				continue;
			const struct pfi_look look = pfi_deadline_look(w.processes[p][s].words, WORDS, w.now_ms);

			slot->busy = look.busy;
			slot->late = look.late;
			slot->next_ms = look.next_ms;
		}
	}
}

/* Between now and the wake-up that was asked for, nothing is due. */
static void check_wake(uint64_t wake_ms)
{
	struct pfi_orders orders;
	const uint64_t until_ms = wake_ms == 0 ? w.now_ms + 1000000 : wake_ms - 1;

	if (until_ms < w.now_ms)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		pfi_supervisor_plan(&w.supervisor, p, until_ms, &orders);
		promise(orders.count == 0);
	}
}

/* One turn, as the arbiter does it. True when all is over. */
static bool turn(void)
{
	struct pfi_orders orders;
	struct pfi_turn result;
	uint64_t wake_ms;
	uint64_t spare_ms = w.supervisor.spare_until_ms;
	bool more;
	int rounds = 0;

	w.overslept = w.supervisor.due_ms != 0 && w.now_ms >= w.supervisor.due_ms + 1000;
	look_at_pages();
	do {
		promise(rounds++ < 50); /* a turn comes to rest */
		result = pfi_supervisor_turn(&w.supervisor, w.now_ms);
		note_ruling(result.ruling);
		wake_ms = result.wake_ms;
		more = false;
		for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
			pfi_supervisor_plan(&w.supervisor, p, w.now_ms, &orders);
			wake_ms = pfi_earlier_ms(wake_ms, orders.wake_ms);
			more |= orders.more || orders.count > 0;
			for (uint32_t i = 0; i < orders.count; i++)
				carry_out(p, &orders.list[i]);
		}
	} while (more);
	if (w.supervisor.spare_until_ms != spare_ms)
		w.excused_ms += w.supervisor.spare_until_ms - w.now_ms;
	if (!result.finished && pick(8) == 0)
		check_wake(wake_ms);
	pfi_supervisor_rest(&w.supervisor, wake_ms);
	return result.finished;
}

/* ---- what happens ---- */

static void processes_act(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.seats; s++) {
			struct pfi_slot *const slot = &w.slots[p][s];
			struct process *const process = &w.processes[p][s];

			if (slot->state == PFI_STATE_EMPTY)
				continue;
			do_work(process);
			if (process->dies_at_ms != 0 && process->dies_at_ms <= w.now_ms) {
				pfi_supervisor_died(&w.supervisor, p, s, process->reason, process->requests, w.now_ms);
				continue;
			}
			if (process->ready_at_ms != 0 && process->ready_at_ms <= w.now_ms) {
				(void)pfi_supervisor_tell(&w.supervisor, p, s, PFI_EVENT_READY, w.now_ms);
				w.has_been_ready[p][slot->generation] = true;
				process->ready_at_ms = 0;
			}
			if (process->says_leave_at_ms != 0 && process->says_leave_at_ms <= w.now_ms &&
			    slot->state == PFI_STATE_SERVING)
				slot->wants_leave = true;
			if (slot->state == PFI_STATE_SERVING && pick(4) == 0)
				give_work(process, &w.pools[p].policy);
		}
	}
}

static void reload(void)
{
	if (w.generation + 1 == GENERATIONS)
		return;
	w.generation++;
	w.quality[w.generation] = (uint8_t)(pick(2) ? 0 : pick(4));
	w.reloads++;
	w.fall_back = w.supervisor.rollout.wanted;
	note_ruling(pfi_supervisor_reload(&w.supervisor, w.generation));
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		w.asked_spawns += 2 * w.pools[p].policy.workers_max + 5;
		w.targets[p] = w.pools[p].target;
		w.scaled[p] = false;
		if (pick(2))
			pfi_supervisor_propose(&w.supervisor, p, 1 + (uint32_t)pick(w.pools[p].policy.workers_max));
	}
}

static void stop(bool graceful)
{
	if (w.stop_at_ms == 0 || !graceful)
		w.stop_at_ms = w.now_ms;
	note_ruling(pfi_supervisor_stop(&w.supervisor, graceful, 0, w.now_ms));
}

static void something_happens(void)
{
	const uint32_t p = (uint32_t)pick(w.supervisor.pool_count);
	const uint32_t s = (uint32_t)pick(w.seats);

	if (pick(500) == 0)
		w.outage = !w.outage;
	if (pick(w.unrest) != 0)
		return;
	switch (pick(2000)) {
	case 0 ... 19:
		reload();
		break;
	case 20 ... 39:
		w.asked_spawns += w.pools[p].policy.workers_max;
		w.scaled[p] = true;
		promise(pfi_supervisor_scale(&w.supervisor, p, (uint32_t)pick(w.pools[p].policy.workers_max + 1)) == 0);
		break;
	case 40 ... 69: /* kill -9, or the kernel */
		if (w.slots[p][s].state != PFI_STATE_EMPTY) {
			w.processes[p][s].dies_at_ms = w.now_ms;
			w.processes[p][s].reason = PREFORK_REASON_KILLED;
		}
		break;
	case 70 ... 74: { /* the lid was closed: everybody stood still */
		const uint64_t away_ms = 2000 + pick(100000);

		w.now_ms += away_ms;
		w.excused_ms += away_ms;
		break;
	}
	case 75:
		stop(true);
		break;
	case 76:
		if (one_in(3))
			stop(false);
		break;
	default:
		break;
	}
}

static void advance_clock(void)
{
	const uint64_t next_ms = pfi_earlier_ms(next_of_world(), w.supervisor.due_ms);
	uint64_t step_ms = pick(4) ? 1 + pick(20) : 1 + pick(2000);

	/* No sleep is longer than what it is set for, or what there is to see. */
	if (next_ms != 0 && next_ms <= w.now_ms)
		step_ms = 1;
	else if (next_ms != 0 && (next_ms - w.now_ms < step_ms || pick(3) == 0) && next_ms - w.now_ms < 100000)
		step_ms = next_ms - w.now_ms;
	w.now_ms += step_ms;
}

/* When nothing fails any more everything comes to what is wanted, and then to rest. */
static void check_convergence(void)
{
	w.calm = true;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.seats; s++) {
			struct process *const process = &w.processes[p][s];

			process->deaf = process->in_kernel = process->garbage = false;
			process->says_leave_at_ms = 0;
			if (w.slots[p][s].state == PFI_STATE_SERVING)
				process->dies_at_ms = 0;
		}
	}
	const uint64_t until_ms = w.now_ms + 200000;

	while (w.now_ms < until_ms) {
		advance_clock();
		processes_act();
		(void)turn();
	}
	w.calm = false;
	if (w.supervisor.phase != PFI_PHASE_RUNNING)
		return; /* what was failing already was too much for it */
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		const struct pfi_census census =
			pfi_roster_census(&w.pools[p].roster, w.supervisor.rollout.wanted, UINT32_MAX);

		promise(census.current_ready == pfi_pool_wanted(&w.pools[p]));
		promise(census.outdated_ready + census.outdated_booting == 0);
	}
	promise(w.supervisor.rollout.state == PFI_ROLLOUT_IDLE);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *const text = getenv(name);

	return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

START_TEST(the_promises_hold_whatever_happens)
{
	const uint64_t steps = from_environment("SIM_STEPS", 1000000);
	const uint64_t first_seed = from_environment("SIM_SEED", 20240229);
	uint64_t seed = first_seed;
	uint64_t worlds = 1, spawns = 0, reloads = 0;

	printf("simulation: SIM_SEED=%" PRIu64 " SIM_STEPS=%" PRIu64 "\n", first_seed, steps);
	fflush(stdout);
	create_world(seed);
	for (uint64_t i = 0; i < steps; i++) {
		something_happens();
		w.supervisor.queued = pick(3) == 0;
		advance_clock();
		processes_act();
		const bool over = turn();
		check_numbers();
		check_spawn_rate();
		check_stop();
		if (!over && w.supervisor.phase == PFI_PHASE_RUNNING && pick(5000) == 0)
			check_convergence();
		if (over || w.generation + 1 == GENERATIONS) {
			promise(!over || w.reloads == w.verdicts);
			spawns += w.spawns;
			reloads += w.reloads;
			worlds++;
			create_world(pfi_chance(&seed));
		}
	}
	printf("simulation: %" PRIu64 " worlds, %" PRIu64 " spawns, %" PRIu64 " reloads\n", worlds, spawns, reloads);
	promise(steps < 100000 || (worlds > 10 && spawns > 1000 && reloads > 100)); /* it did happen */
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("simulation");
	TCase *const tc = tcase_create("simulation");

	tcase_set_timeout(tc, 0); /* meson has one */
	tcase_add_test(tc, the_promises_hold_whatever_happens);
	suite_add_tcase(suite, tc);

	SRunner *const runner = srunner_create(suite);

	srunner_run_all(runner, CK_ENV);
	const int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
