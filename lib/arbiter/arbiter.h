/*
 * arbiter/arbiter.h -- the supervisor: what all files of this module share.
 *
 * Each file has a header of its own with its functions and its part of the state, which only it writes. Files call
 * downwards only (tests/shape/calls.py):
 *
 *     attach_ev
 *     arbiter           public functions
 *     turn              events in, plan, orders out
 *     events
 *     signals
 *     exits, reload, upgrade
 *     child_messages
 *     children, child_actions, generations, health
 *     listener_table, reuseport_sets, lookups, trial, directory
 *     notify, predecessor, upgrade_spawn
 *     start_lines
 *     hook_calls, stack_dumps, flood_control, queues, shortages, orphans, limited_child, killed, listener_options, resource_limits
 *     process, score_reader, pid, queries, fd_store, watches, kept_fds
 *     generation_table, override, pools, loop, log_lines
 *
 * Owner: the arbiter owns everything here; a worker owns its copy after the fork. One thread, except for the atomics
 * in `requested`.
 */
#ifndef ARBITER_ARBITER_H
#define ARBITER_ARBITER_H

#include "arbiter/directory.h"
#include "arbiter/fd_store.h"
#include "arbiter/flood_control.h"
#include "arbiter/generation_table.h"
#include "arbiter/kept_fds.h"
#include "arbiter/killed.h"
#include "arbiter/listener_table.h"
#include "arbiter/log_lines.h"
#include "arbiter/lookups.h"
#include "arbiter/loop.h"
#include "arbiter/notify.h"
#include "arbiter/orphans.h"
#include "arbiter/pools.h"
#include "arbiter/predecessor.h"
#include "arbiter/process.h"
#include "arbiter/queries.h"
#include "arbiter/resource_limits.h"
#include "arbiter/shared_paths.h"
#include "arbiter/upgrade.h"
#include "arbiter/trial.h"
#include "arbiter/watches.h"
#include "listener/inherit.h"
#include "model/supervisor.h"
#include "os/daemon.h"
#include "os/pidfile.h"
#include "os/scoreboard.h"
#include "worker/spawn_context.h"

#include <prefork/listener.h>

#include <stdatomic.h>

enum { PFI_HOOKS_MAX = 32 };

struct pfi_attachment;

struct prefork_arbiter {
	struct prefork_settings *initial;  /* what create was given */
	struct prefork_settings *settings; /* in force */
	struct prefork_log *log;
	struct pfi_attachment *attachment; /* to the application's event loop, or NULL        */
	void (*detach)(struct prefork_arbiter *arbiter); /* ends the attachment; NULL: none   */
	const char *program;
	int arbiter_pidfd;
	uint32_t id; /* in the table of the library's descriptors: 1 and up */
	bool chose_signals, wants_signals, has_signals;
	bool has_environment; /* the inherited sockets were taken out of the environment */
	bool started, finished;
	bool logged_stop; /* and the hooks were called  */
	bool refused;     /* the listeners refuse new connections */
	struct pfi_loop loop;
	struct pfi_flood flood;

	struct prefork_pool pools[PFI_POOLS_MAX];
	struct pfi_pool models[PFI_POOLS_MAX];
	unsigned pool_count;
	struct pfi_hook_set hooks[PFI_HOOKS_MAX];
	struct prefork_hooks hook_tables[PFI_HOOKS_MAX];
	unsigned hook_count;
	const struct prefork_strategy *strategies[PFI_STRATEGIES_MAX];
	unsigned strategy_count;

	struct pfi_supervisor supervisor;
	struct pfi_scoreboard scoreboard;
	struct prefork_process *processes; /* one per slot, by worker index */
	unsigned processes_max;
	struct pfi_generation *generations;
	size_t generation_count;
	uint32_t last_generation;
	struct pfi_listener_list listeners; /* all, in the order of opening         */
	uint32_t last_listener;             /* the last number given to one         */
	struct pfi_inherited inherited;     /* sockets that no listener uses yet    */
	struct pfi_orphans orphans;
	struct pfi_lookup lookup;
	struct pfi_trial trial;
	struct pfi_directory directory;
	struct pfi_killed killed;
	struct pfi_watches watches;
	struct pfi_kept_fds kept_fds;
	struct pfi_resource_limits limits;
	struct pfi_notify notify;
	struct pfi_queries queries;
	struct pfi_fd_store fd_store;
	struct pfi_daemon daemon;
	int umask_before; /* -1: unchanged */
	struct pfi_pidfile pidfile; /* written by pid.c */
	size_t pidfile_suffix;      /* so many bytes at the end of its name */
	struct pfi_upgrade upgrade;         /* of this arbiter, by a new one     */
	struct pfi_predecessor predecessor; /* of which this arbiter is the upgrade */
	struct pfi_shared_paths shared_paths; /* with the new arbiter or the old one */
	char reload_why[1024];   /* why the reload in progress fails */
	char last_failure[1024]; /* of a worker                      */

	struct {
		_Atomic unsigned stop; /* 1 graceful, 2 quick */
		_Atomic unsigned reload;
		_Atomic unsigned upgrade;
		_Atomic unsigned scale[PFI_POOLS_MAX]; /* workers + 1; 0: not requested */
	} requested;
};

/* Call the hook `name` of each set with the arguments that follow, and `user`. */
#define PFI_HOOKS(arbiter, name, ...)                                                         \
	do {                                                                                  \
		for (unsigned pfi_h = 0; pfi_h < (arbiter)->hook_count; pfi_h++) {            \
			const struct pfi_hook_set *const pfi_set = &(arbiter)->hooks[pfi_h];   \
			if (pfi_set->hooks->name != NULL)                                      \
				pfi_set->hooks->name(__VA_ARGS__, pfi_set->user);              \
		}                                                                             \
	} while (0)

#endif
