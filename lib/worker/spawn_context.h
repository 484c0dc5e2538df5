/*
 * spawn_context -- what a worker receives across the fork, and the child's main function.
 *
 * The arbiter fills in the struct and forks (os/spawn); the child calls pfi_worker_main() with it while
 * signals are still blocked. All members are borrowed. They stay valid in the child, which has its own
 * copy of the memory.
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

struct pfi_credentials;
struct pfi_daemon;
struct pfi_worker_score;
struct pfi_scoreboard;

struct pfi_hook_set {
	const struct prefork_hooks *hooks;
	void *user;
};

struct pfi_spawn_context {
	const char *program;   /* for the process title                                               */
	const char *pool;
	unsigned slot;         /* of the pool                                                         */
	unsigned worker_index; /* of all pools: the index of the scoreboard entry                     */
	unsigned generation;
	const struct prefork_settings *settings; /* of the pool, frozen                               */
	struct prefork_log *log;
	const struct prefork_strategy *strategy;
	const struct prefork_service *service; /* NULL: the strategy runs jobs                        */
	void *user;                            /* the pool's pointer for service or strategy          */
	struct prefork_listener *const *listeners;
	size_t listener_count;
	const int *reuseport_sets; /* by listener: epoll set of this worker's reuseport sockets, or -1; NULL: no listener has one */
	const struct pfi_hook_set *hooks;
	size_t hook_count;

	const struct pfi_scoreboard *scoreboard; /* the child keeps its own entry and unmaps the rest */
	struct pfi_worker_score *score;          /* the entry of worker_index                         */
	unsigned thread_slots; /* of that entry: the setting `threads` at the start, plus 1           */
	int channel;           /* the worker's end of its control channel                             */
	int arbiter_pidfd;     /* readable when the arbiter has exited                                */
	int directory;         /* the working directory of the worker; 0: the arbiter's               */
	int watchdog;          /* timerfd shared with the arbiter: the watchdog timer                 */
	const struct pfi_credentials *credentials; /* what the worker runs as, or NULL                    */
	const struct pfi_daemon *daemon;           /* whose standard streams it leaves, or NULL             */
	pid_t arbiter;
	uint32_t arbiter_id;   /* owner in the table of descriptors, see os/fdtable.h                 */
};

/* The worker, from the fork to its exit status, which is for _exit(2). Runs in the child, with all signals blocked on
 * entry. */
int pfi_worker_main(const struct pfi_spawn_context *context);

/* The built-in strategy with that name, or NULL. */
const struct prefork_strategy *pfi_strategy_by_name(const char *name);

#endif
