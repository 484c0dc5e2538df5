/*
 * birth -- all that the arbiter hands to a worker, and the child's main.
 *
 * The arbiter fills it in, forks (os/spawn), and the child calls
 * pfi_worker_main() with it, signals still blocked. Everything in it is
 * borrowed and stays valid in the child, which has its own copy of the memory.
 */
#ifndef WORKER_SPAWN_CONTEXT_H
#define WORKER_SPAWN_CONTEXT_H

#include <prefork/arbiter.h>
#include <prefork/service.h>
#include <prefork/strategy.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pfi_worker_score;
struct pfi_scoreboard;

struct pfi_hook_set {
	const struct prefork_hooks *hooks;
	void *user;
};

struct pfi_spawn_context {
	const char *program; /* for the process title */
	const char *pool;
	unsigned slot;         /* of the pool                                                 */
	unsigned worker_index; /* over all pools: which page is this worker's                 */
	unsigned generation;
	const struct prefork_settings *settings; /* the pool's: frozen                        */
	struct prefork_log *log;
	const struct prefork_strategy *strategy;
	const struct prefork_service *service; /* or NULL: a job runner                       */
	void *user;                            /* of the pool: for service or strategy        */
	struct prefork_listener *const *listeners;
	size_t listener_count;
	const int *sets; /* by listener: this worker's set of its reuseport sockets, -1: it has none; or NULL */
	const struct pfi_hook_set *hooks;
	size_t hook_count;

	const struct pfi_scoreboard *scoreboard; /* the child keeps its own page and unmaps the rest    */
	struct pfi_worker_score *score;         /* of this worker_index                                */
	unsigned thread_slots;                /* in it: one more than the pool's setting `threads`   */
	int channel;                  /* this worker's end of its control channel                   */
	int arbiter_pidfd;                      /* a pidfd of the arbiter: readable when it is gone    */
	int directory;                 /* to start in; 0: in the arbiter's                    */
	int watchdog;                     /* the timerfd that tells the arbiter of deadlines     */
	pid_t arbiter;
	uint32_t arbiter_id;           /* in the table of descriptors, see os/fdtable.h       */
};

/** The child's whole life; the answer is for _exit(2). Runs in the child, with
 *  all signals blocked on entry. */
int pfi_worker_main(const struct pfi_spawn_context *context);

/** The built-in strategy of that name, or NULL. */
const struct prefork_strategy *pfi_strategy_by_name(const char *name);

#endif
