/*
 * world -- the supervisor under a virtual clock, with random workers, exits and operators. Every
 * promise is checked after every step.
 *
 * world.c      the state, and what workers do
 * operators.c  reloads, scaling, stops, kills
 * turns.c      the turns of the arbiter; a record of failures beside that of the supervisor
 * promises.c   the promises
 */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include "model/deadline.h"
#include "model/supervisor.h"

#include <check.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

enum { POOLS_MAX = 3, WORKERS_MAX = 5, SURGE_MAX = 2, PROCESSES_MAX = 2 * WORKERS_MAX + SURGE_MAX + 1, THREADS = 3 };
enum { KILL_MAX_MS = 40000, GENERATIONS = 1 << 12 };

/* What a process does unless the arbiter or an operator ends it. */
struct process {
	uint64_t ready_at_ms; /* 0: never            */
	uint64_t exits_at_ms;  /* 0: does not exit    */
	uint64_t retires_at_ms; /* asks to be replaced; 0: never */
	uint64_t deadlines_ms[THREADS];      /* deadlines in the scoreboard; 0: idle             */
	uint64_t done_at_ms[THREADS]; /* when the request ends; 0: it hangs                */
	uint64_t dumped[THREADS];     /* the deadline for which a stack was dumped         */
	uint64_t notified_ms;           /* drain, quit or abort was sent; 0: not yet         */
	uint64_t hung_since_ms;     /* first deadline of a request that hangs, 0: none   */
	uint64_t hung_lost_ms;   /* w.lost_ms at that time                            */
	enum prefork_reason reason;
	uint64_t requests;
	bool ignores_signals;      /* SIGTERM, SIGQUIT and SIGABRT        */
	bool in_kernel; /* SIGKILL takes effect after a delay   */
	bool writes_garbage;   /* writes random deadlines              */
};

/* The failures of a pool, recorded by the simulation: no start is earlier than these times allow. */
struct failures {
	uint64_t boot_ms; /* end of the back-off after a failed boot                 */
	uint64_t run_ms;  /* end of the back-off after too many exits in one period  */
	uint64_t period_at_ms;
	uint32_t exits; /* in this period                                          */
	uint64_t failed_boots;    /* failed boots since the last success                     */
	bool last_was_healthy;  /* the last worker to fail was killed, or had served       */
};

struct world {
	uint64_t now_ms;
	uint64_t seed;
	struct pfi_supervisor supervisor;
	struct pfi_pool pools[POOLS_MAX];
	struct pfi_slot slots[POOLS_MAX][PROCESSES_MAX];
	struct process processes[POOLS_MAX][PROCESSES_MAX];
	uint32_t worker_count;
	uint32_t generation;
	uint8_t quality[GENERATIONS];                 /* of the code: 0 good .. 3 does not boot */
	bool has_been_ready[POOLS_MAX][GENERATIONS];
	bool was_ready[POOLS_MAX]; /* a worker, at any time */
	uint64_t forked_ms[POOLS_MAX]; /* the last start */
	uint64_t reloads, verdicts;
	uint64_t stop_at_ms;  /* 0: no stop */
	uint64_t lost_ms;  /* by suspends and graces since the start */
	uint64_t spawns;
	uint64_t operator_spawns; /* upper bound of those that operators caused */
	uint64_t began_ms;
	uint32_t targets[POOLS_MAX]; /* before the current reload               */
	bool scaled[POOLS_MAX];      /* since the current reload began          */
	uint32_t generation_before;    /* wanted generation if the current reload fails  */
	bool is_late;        /* this turn is 1 s late or more                  */
	uint64_t pause;       /* mean number of steps between two operations    */
	bool outage;           /* no worker boots, as without a database         */
	bool kills;            /* workers are killed as soon as they start       */
	bool without_failures;             /* no further failures                            */
	struct failures failures[POOLS_MAX];
	struct failures planned_failures[POOLS_MAX]; /* the same at the time of the last plan */
};

extern struct world w;

/* ck_assert() writes to a pipe on every call, which would take most of the time here. */
#define promise(condition)                                                        \
	do {                                                                      \
		if (!(condition))                                                 \
			ck_abort_msg("at %" PRIu64 " ms: %s", w.now_ms, #condition); \
	} while (0)

/* world.c */
uint64_t pick(uint64_t below);
bool one_in(uint64_t n);
void create_world(uint64_t seed);
void start_process(uint32_t p, uint32_t slot, uint32_t generation);
void change_backlogs(void);
void processes_act(void);
struct pfi_deadline_summary summarize(const struct process *process);
void advance_clock(void);

/* operators.c */
void operators_act(void);
void note_decision(struct pfi_decision decision);

/* turns.c: each changes the model and the record of failures. */
bool turn(void); /* true: the stop is complete */
enum pfi_step_action send_event(uint32_t p, uint32_t slot, enum pfi_event event);
void end_process(uint32_t p, uint32_t slot);
bool is_canary(uint32_t p, uint32_t slot);

/* promises.c */
void check_order(uint32_t p, const struct pfi_order *order);
void check_wake(uint64_t wake_ms);
void check_canary_time(const struct pfi_supervisor *before);
void check_done(uint32_t p);
void check_rollback(const struct pfi_supervisor *before, struct pfi_decision decision);
void check_numbers(void);
void check_spawn_rate(void);
void check_empty_pools(void);
void check_stop(void);
void check_convergence(void);

#endif
