#include "world.h"

#include <prefork/worker.h>

#include <string.h>

struct world w;

uint64_t pick(uint64_t below)
{
	return pfi_random(&w.seed) % below;
}

bool one_in(uint64_t n)
{
	return !w.without_failures && pick(n) == 0;
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
		.boot_failure_policy = pick(8) ? PFI_BOOT_FAILURE_DEGRADE : PFI_BOOT_FAILURE_STOP,
		.boot = { 5, 60000, 500, 30000 },
		.run = { pick(2) ? 100 : 3, 10000, 500, 30000 },
	};
}

void create_world(uint64_t seed)
{
	const uint64_t now_ms = 1000000;

	memset(&w, 0, sizeof w);
	w.seed = seed;
	w.now_ms = w.began_ms = now_ms;
	w.generation = 1;
	w.worker_count = PROCESSES_MAX;
	const uint32_t pools = 1 + (uint32_t)pick(POOLS_MAX);
	for (uint32_t p = 0; p < pools; p++) {
		random_policy(&w.pools[p].policy);
		w.pools[p].worker_table = (struct pfi_worker_table){ w.slots[p], PROCESSES_MAX };
		w.pools[p].target = 1 + (uint32_t)pick(w.pools[p].policy.workers_max);
	}
	pfi_supervisor_init(&w.supervisor, w.pools, pools, w.seed | 1);
	w.supervisor.linger_ms = pick(2) ? 100 : 0;
	w.supervisor.linger_max_ms = 5000;
	w.pause = pick(2) ? 1 : 50;
}

static void begin_request(struct process *process, const struct pfi_policy *policy)
{
	const uint32_t thread = (uint32_t)pick(THREADS);

	if (process->deadlines_ms[thread] != 0)
		return;
	process->deadlines_ms[thread] = w.now_ms + policy->request_timeout_ms;
	if (one_in(40)) {
		process->done_at_ms[thread] = 0;
		if (process->hung_since_ms == 0)
			process->hung_lost_ms = w.lost_ms;
		if (process->hung_since_ms == 0 || process->deadlines_ms[thread] < process->hung_since_ms)
			process->hung_since_ms = process->deadlines_ms[thread];
	} else {
		process->done_at_ms[thread] = w.now_ms + 1 + pick(policy->request_timeout_ms);
	}
}

static void end_requests(struct process *process)
{
	for (uint32_t i = 0; i < THREADS; i++) {
		if (process->deadlines_ms[i] != 0 && process->done_at_ms[i] != 0 && process->done_at_ms[i] <= w.now_ms) {
			process->deadlines_ms[i] = 0;
			process->requests++;
		}
	}
	if (process->writes_garbage)
		process->deadlines_ms[pick(THREADS)] = pick(2) ? pfi_random(&w.seed) : w.now_ms - pick(1000);
}

struct pfi_deadline_summary summarize(const struct process *process)
{
	struct pfi_thread_deadline deadlines_ms[THREADS];

	for (uint32_t i = 0; i < THREADS; i++)
		deadlines_ms[i] = (struct pfi_thread_deadline){
			.deadline_ms = process->deadlines_ms[i], .since_ms = 1, .exists = true,
		};
	return pfi_deadlines_summarize(deadlines_ms, THREADS, 0, w.now_ms);
}

void start_process(uint32_t p, uint32_t slot, uint32_t generation)
{
	struct process *const process = &w.processes[p][slot];
	const uint8_t quality = w.without_failures ? 0 : w.outage ? 3 : w.quality[generation];
	static const enum prefork_reason boot_reasons[] = {
		PREFORK_REASON_BOOT, PREFORK_REASON_APP, PREFORK_REASON_SICK, PREFORK_REASON_CRASHED,
		PREFORK_REASON_KILLED, PREFORK_REASON_UNKNOWN,
	};

	*process = (struct process){ .reason = PREFORK_REASON_CRASHED };
	process->ignores_signals = one_in(10);
	process->in_kernel = one_in(50);
	if (quality == 3 || one_in(quality == 2 ? 2 : 20)) {
		process->exits_at_ms = w.now_ms + pick(quality == 3 ? 20 : 1000);
		process->reason = boot_reasons[pick(sizeof boot_reasons / sizeof boot_reasons[0])];
		if (one_in(5))
			process->exits_at_ms = 0; /* hangs before it is ready */
		if (one_in(200))
			process->reason = PREFORK_REASON_FATAL;
		return;
	}
	process->ready_at_ms = w.now_ms + pick(500);
	process->writes_garbage = one_in(100);
	if (quality == 1 || one_in(20)) {
		process->exits_at_ms = process->ready_at_ms + pick(quality == 1 ? 300 : 60000);
		process->reason = pick(3) ? PREFORK_REASON_CRASHED : PREFORK_REASON_RECYCLED;
	}
	if (one_in(10))
		process->retires_at_ms = process->ready_at_ms + 1 + pick(30000);
}

/* Whether a pool has pending connections. */
void change_backlogs(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		if (pick(3) == 0)
			w.pools[p].pending_listeners = pick(3) == 0;
	}
}

static uint64_t next_event_ms(void)
{
	uint64_t at_ms = 0;

	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.worker_count; s++) {
			const struct process *const process = &w.processes[p][s];

			if (w.slots[p][s].state == PFI_STATE_EMPTY)
				continue;
			if (w.slots[p][s].state == PFI_STATE_BOOTING)
				at_ms = pfi_earlier_ms(at_ms, process->ready_at_ms);
			at_ms = pfi_earlier_ms(at_ms, process->exits_at_ms);
		}
	}
	return at_ms;
}

void processes_act(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.worker_count; s++) {
			struct pfi_slot *const slot = &w.slots[p][s];
			struct process *const process = &w.processes[p][s];

			if (slot->state == PFI_STATE_EMPTY)
				continue;
			end_requests(process);
			if (process->exits_at_ms != 0 && process->exits_at_ms <= w.now_ms) {
				end_process(p, s);
				continue;
			}
			if (process->ready_at_ms != 0 && process->ready_at_ms <= w.now_ms) {
				(void)send_event(p, s, PFI_EVENT_READY);
				w.has_been_ready[p][slot->generation] = w.was_ready[p] = true;
				process->ready_at_ms = 0;
			}
			if (process->retires_at_ms != 0 && process->retires_at_ms <= w.now_ms &&
			    slot->state == PFI_STATE_SERVING)
				slot->wants_retire = true;
			if (slot->state == PFI_STATE_SERVING && pick(4) == 0)
				begin_request(process, &w.pools[p].policy);
		}
	}
}

void advance_clock(void)
{
	const uint64_t next_ms = pfi_earlier_ms(next_event_ms(), w.supervisor.due_ms);
	uint64_t step_ms = pick(4) ? 1 + pick(20) : 1 + pick(2000);

	/* The clock does not pass the next event or the time of the next plan. */
	if (next_ms != 0 && next_ms <= w.now_ms)
		step_ms = 1;
	else if (next_ms != 0 && (next_ms - w.now_ms < step_ms || pick(3) == 0) && next_ms - w.now_ms < 100000)
		step_ms = next_ms - w.now_ms;
	w.now_ms += step_ms;
}
