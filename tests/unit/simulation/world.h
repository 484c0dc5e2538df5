/*
 * world -- the whole supervisor under a virtual clock: random workers, random
 * deaths, random operators, and promises that are checked after every step.
 *
 * world.c      what there is, and what workers do
 * operators.c  what is done to them, and when
 * turns.c      what the arbiter does about it, with a ledger of its own
 * promises.c   what must hold
 */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include "model/deadline.h"
#include "model/supervisor.h"

#include <check.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

enum { POOLS_MAX = 3, WORKERS_MAX = 5, SURGE_MAX = 2, PROCESSES_MAX = 2 * WORKERS_MAX + SURGE_MAX + 1, WORDS = 3 };
enum { NEVER_DIES_MS = 40000, GENERATIONS = 1 << 12 };

/* What a process will do if nobody interferes. */
struct process {
	uint64_t ready_at_ms; /* 0: never says so */
	uint64_t dies_at_ms;  /* 0: lives on */
	uint64_t says_leave_at_ms;
	uint64_t words[WORDS];
	uint64_t done_at_ms[WORDS]; /* when the work ends; 0: it hangs */
	uint64_t dumped[WORDS];     /* the deadline for which a stack was asked for    */
	uint64_t told_ms;           /* to leave, or worse; 0: not yet                  */
	uint64_t hung_since_ms;     /* first deadline of a request that hangs, 0: none */
	uint64_t hung_excused_ms;   /* what was excused before                         */
	enum prefork_reason reason;
	uint64_t requests;
	bool deaf;      /* to TERM, QUIT and ABRT */
	bool in_kernel; /* SIGKILL takes long */
	bool garbage;   /* scribbles on its page */
};

/* What the simulation knows by itself of a pool's failures: no start may come sooner. */
struct ledger {
	uint64_t boot_ms; /* after a failed boot                             */
	uint64_t run_ms;  /* after too many deaths in one period             */
	uint64_t period_at_ms;
	uint32_t deaths; /* in this period                                   */
	uint64_t row;    /* boots that failed since one succeeded            */
	bool blameless;  /* the last to fail was killed, or had served       */
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
	uint8_t quality[GENERATIONS];                 /* of the code: 0 good .. 3 never boots */
	bool has_been_ready[POOLS_MAX][GENERATIONS];
	bool was_ready[POOLS_MAX]; /* a worker, ever */
	uint64_t forked_ms[POOLS_MAX]; /* the last start */
	uint64_t reloads, verdicts;
	uint64_t stop_at_ms;  /* 0: runs */
	uint64_t grace_deadline_ms;  /* time lost to suspends and graces since the world began */
	uint64_t spawns;
	uint64_t asked_spawns; /* what operators may have caused of them */
	uint64_t began_ms;
	uint32_t targets[POOLS_MAX]; /* when the reload under way began        */
	bool scaled[POOLS_MAX];      /* since then                             */
	uint32_t fall_back;    /* what is wanted if the reload under way fails */
	bool overslept;        /* this turn comes much too late                */
	uint64_t unrest;       /* operators do something every so many steps   */
	bool outage;           /* nothing can start: a database is down        */
	bool storm;            /* workers are killed as they come              */
	bool calm;             /* nothing fails any more                       */
	struct ledger ledgers[POOLS_MAX];
	struct ledger planned[POOLS_MAX]; /* the same, when the orders in hand were made */
};

extern struct world w;

/* ck_assert() writes a mark each time, which is most of the work when there are millions. */
#define promise(condition)                                                        \
	do {                                                                      \
		if (!(condition))                                                 \
			ck_abort_msg("at %" PRIu64 " ms: %s", w.now_ms, #condition); \
	} while (0)

/* world.c */
uint64_t pick(uint64_t below);
bool one_in(uint64_t n);
void create_world(uint64_t seed);
void context(uint32_t p, uint32_t slot, uint32_t generation);
void let_connections_come(void);
void processes_act(void);
struct pfi_deadline_summary look_at(const struct process *process);
void advance_clock(void);

/* operators.c */
void something_happens(void);
void note_decision(struct pfi_decision decision);

/* turns.c: tell the model, and the ledger. */
bool turn(void); /* as the arbiter does it; true when all is over */
enum pfi_step_action told(uint32_t p, uint32_t slot, enum pfi_event event);
void died(uint32_t p, uint32_t slot);
bool is_canary(uint32_t p, uint32_t slot);

/* promises.c */
void check_order(uint32_t p, const struct pfi_order *order);
void check_wake(uint64_t wake_ms);
void check_proof(const struct pfi_supervisor *before);
void check_done(uint32_t p);
void check_taking_back(const struct pfi_supervisor *before, struct pfi_decision decision);
void check_numbers(void);
void check_spawn_rate(void);
void check_presence(void);
void check_stop(void);
void check_convergence(void);

#endif
