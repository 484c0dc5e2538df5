/*
 * prefork/arbiter.h -- the supervisor: pools, hooks, and three ways to run it.
 *
 * An arbiter binds listeners, forks workers into its pools, and sees to it
 * that they are as many, as new and as alive as the settings wish. It is one
 * pollable descriptor: prefork_arbiter_run() is a loop around it, a host with a
 * loop of its own polls prefork_arbiter_fd() and calls prefork_arbiter_dispatch().
 *
 * Ownership: the caller owns what create returns and gives it to destroy.
 * Pools belong to their arbiter. Threads: an arbiter belongs to the thread
 * that started it; the three prefork_arbiter_request_*() may be called from
 * any thread and from a signal handler. Fork: the workers are forked by the
 * library on that thread; a child of the host must not touch the arbiter.
 */
#ifndef PREFORK_ARBITER_H
#define PREFORK_ARBITER_H

#include <prefork/export.h>
#include <prefork/service.h>
#include <prefork/strategy.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ev_loop;
struct prefork_arbiter;
struct prefork_listener;
struct prefork_log;
struct prefork_pool;
struct prefork_process;
struct prefork_settings;
struct rusage;

/* How a reload ended. Every reload that began ends with exactly one. */
enum prefork_verdict {
	PREFORK_RELOAD_DONE,       /* every worker is of the new generation            */
	PREFORK_RELOAD_FAILED,     /* nothing has changed; the error message says why       */
	PREFORK_RELOAD_SUPERSEDED, /* a later reload took over                         */
	PREFORK_RELOAD_STOPPED,    /* the server was told to stop                      */
};

/* Why a worker is gone, as far as the arbiter is concerned. */
enum prefork_reason {
	PREFORK_REASON_STOPPED,    /* it was asked to leave, and left                   */
	PREFORK_REASON_RECYCLED, /* it left by itself with status 0                   */
	PREFORK_REASON_BOOT,     /* it did not become ready: status 3, or any before  */
	PREFORK_REASON_APP,      /* it could not load the application: status 4       */
	PREFORK_REASON_SICK,     /* status 75                                         */
	PREFORK_REASON_FATAL,    /* status 78                                         */
	PREFORK_REASON_CRASHED,  /* any other status, or a signal of its own          */
	PREFORK_REASON_KILLED,   /* SIGKILL or SIGTERM by somebody else               */
	PREFORK_REASON_TIMEOUT,  /* the arbiter ended it: boot, request or drain took too long */
	PREFORK_REASON_UNKNOWN,  /* the host reaped it first                          */
};

/** Create an arbiter from settings, which it holds and freezes: the caller
 *  destroys its own. Opens the descriptor and the log; nothing is bound or forked yet.
 *  Descriptors 0 to 2, where they are closed, become /dev/null and stay so, lest what the
 *  program prints end up in a descriptor of the library. Returns 0 and a *new* arbiter in
 *  `*ret`; -ENOMEM, -EMFILE, or what prefork_log_create() says to the setting errorlog.
 *  Since 0.1. */
PREFORK_API int prefork_arbiter_create(const struct prefork_settings *settings, struct prefork_arbiter **ret);

/** Free an arbiter. Workers that are still there are killed and waited for;
 *  signals are given back; unix paths that it made are removed. NULL is fine.
 *  Since 0.1. */
PREFORK_API void prefork_arbiter_destroy(struct prefork_arbiter *arbiter);

/** Add a pool that serves clients: `service` under the strategy of the setting
 *  worker_class, on the listeners of the setting bind. Borrows `service` and
 *  `user` until destroy; copies `name`. Returns 0, -EEXIST for a name that is
 *  taken, -EINVAL, -EBUSY once started, -ENOMEM. Since 0.1. */
PREFORK_API int prefork_arbiter_add_service(struct prefork_arbiter *arbiter, const char *name,
                                            const struct prefork_service *service, void *user);

/** Add a pool with a strategy of its own; `strategy` NULL: that of the setting
 *  worker_class. With a service it has the listeners of the setting bind,
 *  without one it has none, unless prefork_pool_set() says so. `*ret` (may be
 *  NULL) gets the pool, owned by the arbiter. Errors as add_service. Since 0.1. */
PREFORK_API int prefork_arbiter_add_pool(struct prefork_arbiter *arbiter, const char *name,
                                         const struct prefork_strategy *strategy,
                                         const struct prefork_service *service, void *user,
                                         struct prefork_pool **ret);

/** Let worker_class name a strategy of the host's; the setting takes that name by
 *  prefork_settings_add_choice(). Borrows it until destroy.
 *  Before start. Returns 0, -EEXIST for a name that is taken, -EINVAL (also for
 *  more than 16), -EBUSY once started. Since 0.1. */
PREFORK_API int prefork_arbiter_add_strategy(struct prefork_arbiter *arbiter,
                                             const struct prefork_strategy *strategy);

/** Give one pool a value of its own for a setting ("workers", "bind",
 *  "timeout"), as text, as in a file; it holds across reloads. Before start.
 *  With "bind" a pool has listeners of its own, also one without a service; an
 *  address that two pools name is one listener, which both accept from.
 *  Returns 0, or with an error message that names pool and setting: -ENOENT for an unknown
 *  setting, PREFORK_ECONFIG for a bad value, and for a setting that one pool cannot
 *  have of its own (errorlog, loglevel, proc_name, stop_linger and what only the
 *  command line can say; docs/settings.md tells for each; of a host's rows those with
 *  PREFORK_OPTION_SERVER); -EBUSY once started, -ENOMEM. Since 0.1. */
PREFORK_API int prefork_pool_set(struct prefork_pool *pool, const char *setting, const char *text);

/**
 * Callbacks about the life of workers; any may be NULL. Those of the first
 * group run in the arbiter's process, on its thread, and must return soon: the
 * arbiter does nothing else meanwhile. Those of the second run in the worker, on its first
 * thread, and outside of a request: the setting timeout does not end one that hangs. What does is
 * boot_timeout for those before the worker is ready, and graceful_timeout for the others once the
 * worker was asked to leave; a worker_reopen that hangs in a worker that stays is ended by nothing,
 * unless the hook calls prefork_worker_busy() first, and prefork_worker_idle() at its end.
 *
 * before_fork        about to fork; a negative answer (with prefork_fail()) counts as
 *                    a failed fork, and its message is logged
 * after_fork         forked; `process` has a pid now
 * fork_failed        before_fork was called, or is NULL, and there is no worker: a later
 *                    before_fork refused, or the fork failed with `error`, a negative
 *                    errno; `process` has no pid. Each before_fork that returned 0 is
 *                    followed by one of these two: undo here what it did, such as
 *                    taking a lock. Called in reverse order
 * worker_ready       it serves
 * worker_exited      it is gone; `process` tells how, and is gone afterwards
 * reload_begin       a reload was asked for, its settings are checked; a
 *                    negative answer (with prefork_fail()) refuses it
 * reload_end         its verdict; `why` is "" when done
 * stopping           a stop begins
 * child_after_fork   first thing in the child, before anything else of ours
 *                    but with its signals blocked
 * worker_start       signals work, listeners are there; a negative answer is a
 *                    boot failure (PREFORK_EAPP: the application did not load,
 *                    PREFORK_EFATAL: do not try again)
 * worker_draining     it was asked to leave and will, after what it has in hand
 * worker_reopen      log files have been rotated (USR1): open those of your own
 *                    again; on the worker's first thread, while others may write
 * worker_stop        after the strategy returned, before _exit(2)
 * dump               a thread has missed its deadline, or the worker is aborted:
 *                    write what all threads are doing to `fd`, such as the
 *                    stacks of an interpreter; the native stack of the thread
 *                    is there already. Called in a signal handler, in that
 *                    thread: only async-signal-safe functions
 *                    (signal-safety(7)). At most once a second; after a missed
 *                    deadline the worker lives on, and other threads serve.
 *                    Lines of two stacks may alternate in the log: threads of a
 *                    worker wait 200 ms for each other, workers not at all
 * destroyed          the last call of all, by prefork_arbiter_destroy() in the
 *                    arbiter's process: free what `user` points to. Since 0.1.
 */
struct prefork_hooks {
	size_t struct_size; /* sizeof(struct prefork_hooks) */
	int (*before_fork)(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user);
	void (*after_fork)(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user);
	void (*fork_failed)(struct prefork_arbiter *arbiter, struct prefork_process *process, int error, void *user);
	void (*worker_ready)(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user);
	void (*worker_exited)(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user);
	int (*reload_begin)(struct prefork_arbiter *arbiter, const struct prefork_settings *settings, void *user);
	void (*reload_end)(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why,
	                   void *user);
	void (*stopping)(struct prefork_arbiter *arbiter, void *user);

	void (*child_after_fork)(struct prefork_worker *worker, void *user);
	int (*worker_start)(struct prefork_worker *worker, void *user);
	void (*worker_draining)(struct prefork_worker *worker, void *user);
	void (*worker_reopen)(struct prefork_worker *worker, void *user);
	void (*worker_stop)(struct prefork_worker *worker, void *user);
	void (*dump)(struct prefork_worker *worker, int fd, void *user);

	void (*destroyed)(void *user);
};

/** Add a set of hooks; several sets are called in the order they were added,
 *  the worker_stop ones in reverse. Borrows both until destroy. Before start.
 *  Returns 0, -EINVAL, -EBUSY once started, -ENOMEM. Since 0.1. */
PREFORK_API int prefork_arbiter_add_hooks(struct prefork_arbiter *arbiter, const struct prefork_hooks *hooks,
                                          void *user);

/** Whether prefork_arbiter_start() takes the signals (TERM INT QUIT HUP TTIN TTOU
 *  USR1 USR2 WINCH), as docs/signals.md says. Default: run() does, start() does not.
 *  Those that are blocked in the thread that starts the arbiter are unblocked there until the
 *  arbiter ends. Before start. Since 0.1. */
PREFORK_API void prefork_arbiter_take_signals(struct prefork_arbiter *arbiter, bool take);

/** Take what the starter of this process has put into the environment for it alone out of there
 *  now: LISTEN_*, PREFORK_FDS and SERVER_STARTER_PORT, whose sockets prefork_arbiter_start() then
 *  serves, and NOTIFY_SOCKET and WATCHDOG_*, which this version does not use: read them before. For
 *  applications that run code of others in the arbiter before the start. Workers see none of these
 *  variables in any case. After the pools were added, once. 0; -EBUSY after the start; -EINVAL: a
 *  variable makes no sense, or no arbiter. Not while other threads use the environment. Since 0.1. */
PREFORK_API int prefork_arbiter_take_environment(struct prefork_arbiter *arbiter);

/** Let ps and top show what this process and its workers are: "echo: arbiter", "echo: worker 3
 *  [echo] serving". The name is the setting proc_name, else the program's. The first line of main()
 *  is the place: the strings of `argv` and of the environment move, `argv` and `environ` follow, and
 *  what getenv() returned before is no longer good. Without it titles stay as they are. Does nothing
 *  when `argv` is not that of main(), or memory is short. Since 0.1. */
PREFORK_API void prefork_title_take(int argc, char **argv);

/** Run until stopped: start, then dispatch until done. Returns 0 after a stop
 *  that was asked for; PREFORK_EBOOT, PREFORK_EAPP or PREFORK_EFATAL when the
 *  workers gave up; any error of prefork_arbiter_start(). Since 0.1. */
PREFORK_API int prefork_arbiter_run(struct prefork_arbiter *arbiter);

/** Bind the listeners and begin to fork. Returns 0, or a negative errno with a
 *  error message, and then nothing is left bound or forked. Takes sockets that were
 *  handed over (LISTEN_FDS with LISTEN_PID, PREFORK_FDS, SERVER_STARTER_PORT, fd://N) and removes these
 *  variables from the environment, so they serve the first start only, and closes
 *  those that no bind names; where nobody has said where to listen, all of them
 *  are served instead of the default. -EADDRINUSE,
 *  -EADDRNOTAVAIL, -EACCES, -EMFILE (RLIMIT_NOFILE is too low for
 *  workers_max), -EBUSY (signals wanted, but another arbiter of this process has them),
 *  PREFORK_ECONFIG, -ENOMEM. Since 0.1. */
PREFORK_API int prefork_arbiter_start(struct prefork_arbiter *arbiter);

/** The descriptor to poll for reading; the same from create to destroy. Owned
 *  by the arbiter. Since 0.1. */
PREFORK_API int prefork_arbiter_fd(const struct prefork_arbiter *arbiter);

/** Do what is due, without blocking. Returns 1 while there is something to
 *  supervise, 0 when all is over after a stop, or the negative result that
 *  run() would return. Since 0.1. */
PREFORK_API int prefork_arbiter_dispatch(struct prefork_arbiter *arbiter);

/** Have a libev loop of the host's poll the descriptor and dispatch, by one watcher, once
 *  the arbiter is started. When all is over `done` (may be NULL) is called with what
 *  the last prefork_arbiter_dispatch() returned; the watcher is gone then, and
 *  `done` may destroy the arbiter. `loop` NULL takes the arbiter out again. The loop is
 *  borrowed until one or the other, or destroy. A default loop reaps all
 *  children of its process, ours too: deaths are seen all the same, only how they
 *  died is not (PREFORK_REASON_UNKNOWN). Returns 0, -EINVAL before the start, -EBUSY when it is attached
 *  already, -ENOMEM, -ENOTSUP in a library built without libev. Since 0.1. */
PREFORK_API int prefork_arbiter_attach(struct prefork_arbiter *arbiter, struct ev_loop *loop,
                                       void (*done)(struct prefork_arbiter *arbiter, int result, void *user),
                                       void *user);

/** Ask for a stop: graceful (TERM) or quick (QUIT). Any thread, signal
 *  handlers. Since 0.1. */
PREFORK_API void prefork_arbiter_request_stop(struct prefork_arbiter *arbiter, bool graceful);

/** Ask for a reload (HUP). The verdict comes to the hook reload_end. A pool that
 *  was scaled to 0 has the workers of its setting again. Any thread, signal
 *  handlers. Since 0.1. */
PREFORK_API void prefork_arbiter_request_reload(struct prefork_arbiter *arbiter);

/** Ask for exactly `workers` workers in the pool `pool` (its number in the
 *  order of adding, from 0). More than workers_max is refused in the log. Any
 *  thread, signal handlers. Returns 0, or -EINVAL for no such pool. Since 0.1. */
PREFORK_API int prefork_arbiter_request_scale(struct prefork_arbiter *arbiter, size_t pool, unsigned workers);

/** Listener `index` of all, in the order of binding, or NULL beyond the last;
 *  borrowed until the next dispatch. After start. Since 0.1. */
PREFORK_API struct prefork_listener *prefork_arbiter_listener(const struct prefork_arbiter *arbiter, size_t index);

/** The arbiter's log, borrowed until destroy. Since 0.1. */
PREFORK_API struct prefork_log *prefork_arbiter_log(const struct prefork_arbiter *arbiter);

/** The settings in force, borrowed until the next reload. Since 0.1. */
PREFORK_API const struct prefork_settings *prefork_arbiter_settings(const struct prefork_arbiter *arbiter);

/** What hooks may ask of a worker process, seen from the arbiter. Borrowed for
 *  the time of the hook, the user pointer lives as long as the process. `status` is as of
 *  waitpid(2), -1 when unknown; status, reason, rusage and error message are for
 *  worker_exited only. `note` is what it was last at ("" unless it said).
 *  `slot` is that of its pool, as prefork_worker_slot() says.
 *  Since 0.1. */
PREFORK_API int prefork_process_pid(const struct prefork_process *process);
PREFORK_API unsigned prefork_process_slot(const struct prefork_process *process);
PREFORK_API unsigned prefork_process_generation(const struct prefork_process *process);
PREFORK_API const char *prefork_process_pool(const struct prefork_process *process);
PREFORK_API uint64_t prefork_process_age_ms(const struct prefork_process *process);
PREFORK_API uint64_t prefork_process_requests(const struct prefork_process *process);
PREFORK_API const char *prefork_process_activity(const struct prefork_process *process);
PREFORK_API int prefork_process_status(const struct prefork_process *process);
PREFORK_API enum prefork_reason prefork_process_reason(const struct prefork_process *process);
PREFORK_API const char *prefork_process_exit_message(const struct prefork_process *process);
PREFORK_API const struct rusage *prefork_process_rusage(const struct prefork_process *process);
PREFORK_API void prefork_process_set_user(struct prefork_process *process, void *user);
PREFORK_API void *prefork_process_user(const struct prefork_process *process);

#ifdef __cplusplus
}
#endif

#endif
