/*
 * prefork/arbiter.h -- the supervisor: pools, hooks, and three ways to run it.
 *
 * An arbiter binds listeners, forks workers into its pools, and replaces workers that exit, hang,
 * or have outdated settings. It is one pollable descriptor: prefork_arbiter_run() is a loop around
 * it, and an application with an event loop of its own polls prefork_arbiter_fd() and calls
 * prefork_arbiter_dispatch().
 *
 * Ownership: the caller owns what create returns and gives it to destroy. Pools belong to their
 * arbiter. Threads: an arbiter belongs to the thread that started it; the
 * prefork_arbiter_request_*() may be called from any thread and from a signal handler. Fork: the
 * library forks the workers on that thread; a child that the application forks must not use the
 * arbiter.
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

/* How a reload ended. Each reload has exactly one verdict. */
enum prefork_verdict {
	PREFORK_RELOAD_DONE,       /* every worker is of the new generation               */
	PREFORK_RELOAD_FAILED,     /* nothing has changed; the error message says why     */
	PREFORK_RELOAD_SUPERSEDED, /* a later reload replaces it                          */
	PREFORK_RELOAD_STOPPED,    /* the server stops                                    */
};

/* How an upgrade ended. Each upgrade that was requested has exactly one verdict. */
enum prefork_upgrade_verdict {
	PREFORK_UPGRADE_DONE,    /* the workers of the new arbiter serve                      */
	PREFORK_UPGRADE_FAILED,  /* this arbiter serves as before                             */
	PREFORK_UPGRADE_REFUSED, /* nothing was started                                       */
	PREFORK_UPGRADE_STOPPED, /* this arbiter stops before the new one is ready, which     */
	                         /* continues by itself                                       */
};

/* Why a worker has exited, as far as the arbiter knows. */
enum prefork_reason {
	PREFORK_REASON_STOPPED,  /* the arbiter asked it to drain or quit              */
	PREFORK_REASON_RECYCLED, /* it decided to exit, with status 0                  */
	PREFORK_REASON_BOOT,     /* it was not ready yet: status 3, or any other       */
	PREFORK_REASON_APP,      /* it could not load the application: status 4        */
	PREFORK_REASON_SICK,     /* status 75                                          */
	PREFORK_REASON_FATAL,    /* status 78                                          */
	PREFORK_REASON_CRASHED,  /* any other status, or a signal of its own           */
	PREFORK_REASON_KILLED,   /* SIGKILL or SIGTERM from outside                    */
	PREFORK_REASON_TIMEOUT,  /* the arbiter killed it: boot, request or drain took too long */
	PREFORK_REASON_UNKNOWN,  /* the application reaped it first                    */
};

/** Create an arbiter from settings, which it references and freezes: the caller destroys its own
 *  reference. Opens the descriptor and the log; binds and forks nothing yet. Standard
 *  descriptors (0 to 2) that are closed become /dev/null and stay so: else a descriptor of the
 *  library could get such a number, and the output of the program. Returns 0 and a *new* arbiter
 *  in `*ret`; -ENOMEM, -EMFILE, or an error of prefork_log_create() for the setting errorlog.
 *  Since 0.1. */
PREFORK_API int prefork_arbiter_create(const struct prefork_settings *settings, struct prefork_arbiter **ret);

/** Free an arbiter. Kills and reaps its workers, restores the signal dispositions, removes the
 *  unix paths that it has created. NULL is fine. Since 0.1. */
PREFORK_API void prefork_arbiter_destroy(struct prefork_arbiter *arbiter);

/** Add a pool that serves connections: `service` under the strategy of the setting worker_class,
 *  on the listeners of the setting bind. Borrows `service` and `user` until destroy; copies
 *  `name`. Returns 0, -EEXIST if a pool has this name, -EINVAL, -EBUSY once started, -ENOMEM.
 *  Since 0.1. */
PREFORK_API int prefork_arbiter_add_service(struct prefork_arbiter *arbiter, const char *name,
                                            const struct prefork_service *service, void *user);

/** Add a pool with a strategy of its own; `strategy` NULL: that of the setting worker_class.
 *  With a service the pool has the listeners of the setting bind; without one it has none,
 *  unless prefork_pool_set() sets bind. `*ret` (may be NULL) gets the pool, owned by the
 *  arbiter. Errors as add_service. Since 0.1. */
PREFORK_API int prefork_arbiter_add_pool(struct prefork_arbiter *arbiter, const char *name,
                                         const struct prefork_strategy *strategy,
                                         const struct prefork_service *service, void *user,
                                         struct prefork_pool **ret);

/** Add a strategy of the application, which the setting worker_class can then name; the setting
 *  accepts that name by prefork_settings_add_choice(). A name with an asterisk is a pattern
 *  (fnmatch(3)): the strategy runs for each value that it matches. Borrows `strategy` until destroy. Before
 *  start. Returns 0, -EEXIST if a strategy has this name, -EINVAL (also for more than 16),
 *  -EBUSY once started. Since 0.1. */
PREFORK_API int prefork_arbiter_add_strategy(struct prefork_arbiter *arbiter,
                                             const struct prefork_strategy *strategy);

/** Set a setting ("workers", "bind", "timeout") for one pool, as text, as in a file; it stays
 *  across reloads. Before start. A pool with "bind" has listeners of its own, also without a
 *  service; an address that two pools have is one listener, from which both accept. Returns 0,
 *  or with an error message that names pool and setting: -ENOENT for an unknown setting;
 *  PREFORK_ECONFIG for a bad value, and for a setting that belongs to the whole server
 *  (errorlog, loglevel, proc_name, stop_linger, those of the command line only, and rows of the
 *  application with PREFORK_OPTION_SERVER; see docs/settings.md); -EBUSY once started; -ENOMEM.
 *  Since 0.1. */
PREFORK_API int prefork_pool_set(struct prefork_pool *pool, const char *setting, const char *text);

/**
 * Callbacks for the life of workers; any may be NULL.
 *
 * The first group runs in the arbiter's process, on its thread, and must return soon: meanwhile the
 * arbiter does nothing else.
 *
 * The second group runs in the worker, on its first thread, outside of a request, so the setting
 * timeout does not apply. A callback that hangs is ended by boot_timeout until the worker is ready,
 * and by graceful_timeout once the worker drains. Nothing ends a worker_reopen that hangs in a
 * worker that keeps serving, unless the hook calls prefork_worker_busy() first, and
 * prefork_worker_idle() at its end.
 *
 * before_fork        about to fork; a negative result (with prefork_fail()) counts as
 *                    a failed fork, and its message is logged
 * after_fork         forked; `process` has a pid now
 * fork_failed        before_fork was called, or is NULL, and there is no worker: a later
 *                    before_fork failed, or the fork failed with `error`, a negative
 *                    errno; `process` has no pid. Each before_fork that returned 0 is
 *                    followed by either after_fork or fork_failed: undo here what it
 *                    did, such as taking a lock. Called in reverse order
 * worker_ready       the worker serves
 * worker_exited      the worker has exited; `process` says how, and is valid for this
 *                    call only
 * reload_begin       a reload was requested and its settings are valid; a negative
 *                    result (with prefork_fail()) refuses it
 * reload_end         its verdict; `why` is "" if it is done
 * stopping           a stop begins
 * child_after_fork   first call in the child, as the user and the group of the worker: all
 *                    signals are blocked, and its descriptors are those of the arbiter
 * worker_start       signals are handled, listeners are open; a negative result is a
 *                    boot failure (PREFORK_EAPP: the application did not load,
 *                    PREFORK_EFATAL: do not retry)
 * worker_draining    the worker was asked to drain, and exits after the requests in
 *                    progress
 * worker_reopen      log files were rotated (USR1): open those of the application
 *                    again; on the worker's first thread, while others may write
 * worker_stop        after the strategy returned, before _exit(2)
 * dump               a thread has missed its deadline, or the worker is aborted:
 *                    write what all threads do to `fd`, such as the stacks of an
 *                    interpreter; the native stack of the thread is already there.
 *                    Called in a signal handler, in that thread: only
 *                    async-signal-safe functions (signal-safety(7)). At most once a
 *                    second; after a missed deadline the worker continues, and other
 *                    threads serve. Lines of two stacks may alternate in the log:
 *                    threads of a worker wait 200 ms for each other, workers do not
 * destroyed          the last call, by prefork_arbiter_destroy() in the arbiter's
 *                    process: free what `user` points to. Since 0.1.
 * upgrade_end        the verdict of an upgrade, in the arbiter's process, on its thread;
 *                    `pid` is the new arbiter, 0 if none was started; `why` is one line.
 *                    Since 0.1.
 * reopen             log files were rotated (USR1): prefork_log_reopen() for the logs that
 *                    the application has open in the arbiter. Each worker that was forked
 *                    with such a log goes on in the new file, also if it may not open it
 *                    (user). In the arbiter, before worker_reopen. Since 0.1.
 * check_pool         the settings of a pool, at the start and at each reload, before
 *                    anything uses them: a negative result (with prefork_fail())
 *                    refuses the start or the reload. In the arbiter. Since 0.1.
 * worker_message     in a worker, on its first thread: prefork_process_send() was
 *                    called for it. `fd` is closed afterwards. Since 0.1.
 * listening          the start: the listeners are bound, and no worker is forked yet. A
 *                    negative result (with prefork_fail()) refuses the start. Since 0.1.
 * scaled             the pool `pool` is to have `workers` workers, after `before`: by
 *                    a signal, prefork_arbiter_request_scale() or a reload. Since 0.1.
 * stopped            the arbiter has finished with `result`, that of
 *                    prefork_arbiter_dispatch(): it has no worker, listener or pid file
 *                    any more. After a successful start only. Since 0.1.
 * upgrade_fork       about to fork the process of an upgrade. Since 0.1.
 * upgrade_forked     it was forked, or `pid` is a negative errno. Since 0.1.
 * upgrade_exec       in that process, before it executes the program: all signals are
 *                    blocked, its descriptors are those of the arbiter, and what the
 *                    hook changes is lost, except for attributes of the process that
 *                    execve(2) preserves. Since 0.1.
 * child_privileged   in the child, before child_after_fork, as the user and the group
 *                    of the arbiter. Directory, standard streams and resource limits are
 *                    those of the worker. All signals are blocked. Since 0.1.
 * worker_quit        SIGINT or SIGQUIT was received, or the arbiter stops quickly: the
 *                    worker exits without finishing its requests. After
 *                    worker_draining. Since 0.1.
 * abort_begin        SIGABRT was received, such as after a timeout, and the stacks are
 *                    in the log. Called in a signal handler, as dump: only
 *                    async-signal-safe functions. Returns for how many milliseconds the
 *                    process goes on before the default action of the signal ends it; the
 *                    largest result of all sets counts. The arbiter kills it
 *                    abort_timeout after the signal at the latest. Since 0.1.
 * worker_abort       once between abort_begin and the end, if the first thread of the
 *                    worker gets to it: it is not stuck itself. Since 0.1.
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

	void (*upgrade_end)(struct prefork_arbiter *arbiter, enum prefork_upgrade_verdict verdict, int pid,
	                    const char *why, void *user);
	void (*reopen)(struct prefork_arbiter *arbiter, void *user);
	int (*check_pool)(struct prefork_arbiter *arbiter, const char *pool, const struct prefork_settings *settings,
	                  void *user);
	void (*worker_message)(struct prefork_worker *worker, const char *topic, int fd, void *user);

	int (*listening)(struct prefork_arbiter *arbiter, void *user);
	void (*scaled)(struct prefork_arbiter *arbiter, const char *pool, unsigned workers, unsigned before, void *user);
	void (*stopped)(struct prefork_arbiter *arbiter, int result, void *user);
	void (*upgrade_fork)(struct prefork_arbiter *arbiter, void *user);
	void (*upgrade_forked)(struct prefork_arbiter *arbiter, int pid, void *user);
	void (*upgrade_exec)(struct prefork_arbiter *arbiter, void *user);

	void (*child_privileged)(struct prefork_worker *worker, void *user);
	void (*worker_quit)(struct prefork_worker *worker, void *user);
	unsigned (*abort_begin)(struct prefork_worker *worker, void *user);
	void (*worker_abort)(struct prefork_worker *worker, void *user);
};

/** Add a set of hooks. Sets are called in the order in which they were added, worker_stop in
 *  reverse. Borrows both until destroy. Before start. Returns 0, -EINVAL, -EBUSY once started,
 *  -ENOMEM (also for more than 32 sets). Since 0.1. */
PREFORK_API int prefork_arbiter_add_hooks(struct prefork_arbiter *arbiter, const struct prefork_hooks *hooks,
                                          void *user);

/** Replace a value of the settings that the start of this arbiter uses, as prefork_settings_override(): for an
 *  application that computes it after the arbiter was created. prefork_arbiter_settings() has the new value; a reload
 *  reads the sources again, and keeps what it cannot change. Before start. Returns 0; or, with nothing changed, an error
 *  of prefork_settings_override(), that of opening the new errorlog, or -EBUSY after the start. Since 0.1. */
PREFORK_API int prefork_arbiter_override(struct prefork_arbiter *arbiter, const char *name, const char *text,
                                         const char *place);

/** As prefork_settings_override_append(), after prefork_arbiter_override(). Since 0.1. */
PREFORK_API int prefork_arbiter_override_append(struct prefork_arbiter *arbiter, const char *name, const char *text,
                                                const char *place);

/** A program that tries new settings before a reload reads them: for an application that executes code to read them,
 *  which can fail, hang or exit. Its standard output is a pipe that is read after its exit, and holds 64 KiB; its
 *  environment and directory are those of the arbiter, and it is killed when the arbiter exits. Exit status 0 lets the
 *  reload go on. Otherwise the reload has failed: its verdict is the last line of what the program has written, and the
 *  lines before it are in the log. */
struct prefork_reload_trial {
	size_t struct_size;  /* sizeof(struct prefork_reload_trial)                                                 */
	const char *path;    /* for execve(2); "/proc/self/exe" is the program of the arbiter                       */
	char *const *argv;
	const char *limit;   /* the name of a DURATION row of the settings in force: how long the program may run     */
	uint64_t grace_ms;   /* is added to it, for a program that watches the limit itself                         */
	const char *proof;   /* how the output of a success ends, since code that the program runs may exit with    *
	                      * status 0; NULL: the status is enough                                                */
	int (*is_needed)(struct prefork_arbiter *arbiter, void *user); /* 0: not for this reload. NULL: always       */
	void *user;
};

/** Have each reload begin with a trial. Nothing waits for it: the arbiter supervises its workers meanwhile, and a stop or
 *  another reload ends it. Copies `trial`, and borrows what it points to until destroy. 0; -EINVAL; -EBUSY: one is running.
 *  Since 0.1. */
PREFORK_API int prefork_arbiter_set_reload_trial(struct prefork_arbiter *arbiter,
                                                 const struct prefork_reload_trial *trial);

/** Whether the arbiter handles the signals TERM INT QUIT HUP TTIN TTOU USR1 USR2 WINCH, as
 *  docs/signals.md says. Default: prefork_arbiter_run() does, prefork_arbiter_start() does not.
 *  Those that are blocked in the thread that starts the arbiter are unblocked there until the
 *  arbiter ends. Before start. Since 0.1. */
PREFORK_API void prefork_arbiter_take_signals(struct prefork_arbiter *arbiter, bool take);

/** Remove from the environment now what the program that started this process has set for it alone:
 *  LISTEN_*, PREFORK_FDS, PREFORK_UPGRADE_* and SERVER_STARTER_PORT, whose sockets
 *  prefork_arbiter_start() then serves, NOTIFY_SOCKET and WATCHDOG_*: the arbiter sends its
 *  state to the service manager, as sd_notify(3) does; and PREFORK_SLOT, if a worker of another
 *  server has started this one. prefork_arbiter_run() does the same at its start; an arbiter that is embedded
 *  by prefork_arbiter_start() leaves both to the application unless this function is called.
 *  For programs that run code of an application in the arbiter before the start. Workers never see
 *  these variables. Call it once, after the pools were added, while no other thread uses the
 *  environment. 0; -EBUSY after the start; -EINVAL: a variable has a bad value, or `arbiter` is
 *  NULL. Since 0.1. */
PREFORK_API int prefork_arbiter_take_environment(struct prefork_arbiter *arbiter);

/** Have ps(1) and top(1) show what this process and its workers are: "echo: arbiter", "echo:
 *  worker 3 [echo] serving". The name is the setting proc_name, else that of the program. Call
 *  it in the first line of main(): the strings of `argv` and of the environment move, `argv` and
 *  `environ` are updated, and pointers that getenv(3) returned before become invalid. Without
 *  this call titles do not change. No effect if `argv` is not that of main(), or memory is
 *  exhausted. Since 0.1. */
PREFORK_API void prefork_title_take(int argc, char **argv);

/** Start, then dispatch until the stop is complete. Returns 0 after a stop that was requested;
 *  PREFORK_EBOOT, PREFORK_EAPP or PREFORK_EFATAL if the workers gave up; any error of
 *  prefork_arbiter_start(). Since 0.1. */
PREFORK_API int prefork_arbiter_run(struct prefork_arbiter *arbiter);

/** Bind the listeners and begin to fork. Returns 0, or a negative errno with an error message,
 *  and then nothing stays bound or forked. Uses the inherited sockets (LISTEN_FDS
 *  with LISTEN_PID, PREFORK_FDS, SERVER_STARTER_PORT, fd://N) and removes these variables from
 *  the environment, so they serve the first start only; closes those that no bind lists. If bind
 *  is not set, all of them replace its default. -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE
 *  (RLIMIT_NOFILE is too low for workers_max), -EBUSY (signals are to be handled, but another
 *  arbiter of this process handles them), PREFORK_ECONFIG, -ENOMEM. Since 0.1. */
PREFORK_API int prefork_arbiter_start(struct prefork_arbiter *arbiter);

/** The descriptor to poll for reading; the same from create to destroy. Owned by the arbiter.
 *  Since 0.1. */
PREFORK_API int prefork_arbiter_fd(const struct prefork_arbiter *arbiter);

/** Do what is due, without blocking. Returns 1 while the arbiter runs, 0 when the stop is
 *  complete, or the negative result that prefork_arbiter_run() would return. Since 0.1. */
PREFORK_API int prefork_arbiter_dispatch(struct prefork_arbiter *arbiter);

/** Have a libev loop of the application poll the descriptor and dispatch, with one watcher, once
 *  the arbiter is started. When the arbiter is finished, `done` (may be NULL) is called with the
 *  result of the last prefork_arbiter_dispatch(); the watcher is stopped by then, and `done` may
 *  destroy the arbiter. `loop` NULL detaches the arbiter. Borrows the loop until the arbiter
 *  finishes, is detached, or is destroyed. A default loop reaps all children of its process,
 *  also those of the library: exits are still seen, but not their status
 *  (PREFORK_REASON_UNKNOWN). Returns 0, -EINVAL before the start, -EBUSY if it is attached
 *  already, -ENOMEM, -ENOTSUP in a build without libev. Since 0.1. */
PREFORK_API int prefork_arbiter_attach(struct prefork_arbiter *arbiter, struct ev_loop *loop,
                                       void (*done)(struct prefork_arbiter *arbiter, int result, void *user),
                                       void *user);

/** Poll `fd` for reading, and call `ready` when it is readable, as long as it is: on the thread of the arbiter, where it
 *  must return soon. Takes `fd` if it returns 0: prefork_arbiter_unwatch() closes it, or destroy, and workers do not have
 *  it. `ready` may call both functions. 0; -EINVAL: an argument is NULL; -ENOSPC: more than 16; or the error of
 *  fcntl(2) or epoll_ctl(2). Since 0.1. */
PREFORK_API int prefork_arbiter_watch(struct prefork_arbiter *arbiter, int fd,
                                      void (*ready)(struct prefork_arbiter *arbiter, int fd, void *user), void *user);
PREFORK_API void prefork_arbiter_unwatch(struct prefork_arbiter *arbiter, int fd);

/** Keep `fd` for the new arbiter of a binary upgrade, which gets it by prefork_arbiter_kept_fd(): for what must be
 *  neither in a file nor in the environment, in a memfd, for example. Workers do not have it. Takes `fd` if it returns
 *  0, and closes the one that had this name. `name`: lower case letters, digits, - and _, at most 31. 0; -EINVAL;
 *  -ENOSPC: more than 8; -EBADF. Since 0.1. */
PREFORK_API int prefork_arbiter_keep_fd(struct prefork_arbiter *arbiter, const char *name, int fd);

/** The descriptor that this arbiter, or the one that it is the upgrade of, keeps under a name: borrowed. After
 *  prefork_arbiter_take_environment() or the beginning of the start, such as in the hook check_pool. -ENOENT: none;
 *  -EINVAL. Since 0.1. */
PREFORK_API int prefork_arbiter_kept_fd(const struct prefork_arbiter *arbiter, const char *name);

/** Request a stop: graceful (TERM) or quick (QUIT). Any thread, signal handlers. Since 0.1. */
PREFORK_API void prefork_arbiter_request_stop(struct prefork_arbiter *arbiter, bool graceful);

/** Request a reload (HUP). The hook reload_end gets the verdict. A pool that was scaled to 0 has
 *  the workers of its setting again. Any thread, signal handlers. Since 0.1. */
PREFORK_API void prefork_arbiter_request_reload(struct prefork_arbiter *arbiter);

/** Request an upgrade, as USR2 with the setting upgrade = automatic: this program is started anew
 *  from its file, with arguments, environment and working directory of the start, and the
 *  listeners. When the workers of the new process serve, this arbiter drains and
 *  prefork_arbiter_run() or the last prefork_arbiter_dispatch() returns 0; the program then
 *  exits. If the new process fails, nothing has changed. The hook upgrade_end gets the verdict.
 *  Refused in process 1, while another upgrade is under way, and if the process has another
 *  arbiter with listeners. Call prefork_title_take() in the first line of main(), or change
 *  neither argv nor the environment's strings in place, so that those of the start are known.
 *  The arbiter forks on its own thread, also if other threads run; the child only executes.
 *  Descriptors of the application are closed in the new process. Any thread, signal handlers;
 *  docs/upgrade.md. Since 0.1. */
PREFORK_API void prefork_arbiter_request_upgrade(struct prefork_arbiter *arbiter);

/** Request exactly `workers` workers in the pool `pool` (its number in the order of adding, from
 *  0). More than workers_max are refused, with a log line. Any thread, signal handlers. Returns
 *  0, or -EINVAL if there is no such pool. Since 0.1. */
PREFORK_API int prefork_arbiter_request_scale(struct prefork_arbiter *arbiter, size_t pool, unsigned workers);

/** Listener `index` of all, in the order of binding, or NULL beyond the last; borrowed until the
 *  next dispatch. After start. Since 0.1. */
PREFORK_API struct prefork_listener *prefork_arbiter_listener(const struct prefork_arbiter *arbiter, size_t index);

/** The arbiter's log, borrowed until destroy. Since 0.1. */
PREFORK_API struct prefork_log *prefork_arbiter_log(const struct prefork_arbiter *arbiter);

/** The settings in force, borrowed until the next reload. Since 0.1. */
PREFORK_API const struct prefork_settings *prefork_arbiter_settings(const struct prefork_arbiter *arbiter);

/** A worker process as the arbiter sees it, for hooks. Borrowed for the call of the hook; the
 *  user pointer stays as long as the process. The slot is that of its pool, as
 *  prefork_worker_slot(). The activity is what it worked on last, "" if it has set none. For
 *  worker_exited only: the status is as of waitpid(2), -1 if it is not known; reason, rusage,
 *  and the exit message, one line that says how and why it exited, and whether it is replaced.
 *  The settings are those of its pool and generation, borrowed for the call of the hook.
 *  Since 0.1. */
PREFORK_API int prefork_process_pid(const struct prefork_process *process);
PREFORK_API unsigned prefork_process_slot(const struct prefork_process *process);
PREFORK_API unsigned prefork_process_generation(const struct prefork_process *process);
PREFORK_API const char *prefork_process_pool(const struct prefork_process *process);
PREFORK_API const struct prefork_settings *prefork_process_settings(const struct prefork_process *process);
PREFORK_API uint64_t prefork_process_age_ms(const struct prefork_process *process);
PREFORK_API uint64_t prefork_process_requests(const struct prefork_process *process);
PREFORK_API const char *prefork_process_activity(const struct prefork_process *process);
PREFORK_API int prefork_process_status(const struct prefork_process *process);
PREFORK_API enum prefork_reason prefork_process_reason(const struct prefork_process *process);
PREFORK_API const char *prefork_process_exit_message(const struct prefork_process *process);
PREFORK_API const struct rusage *prefork_process_rusage(const struct prefork_process *process);
PREFORK_API void prefork_process_set_user(struct prefork_process *process, void *user);
PREFORK_API void *prefork_process_user(const struct prefork_process *process);

/** Send a copy of `fd` and the text `topic`, at most 480 bytes, to the worker: its hook worker_message gets both. A
 *  process may be used for this from after_fork until worker_exited has returned. Never blocks. 0; -EAGAIN: the worker
 *  has not read earlier messages, so try again later; -EPIPE, -ESRCH: it has exited; -EINVAL. Since 0.1. */
PREFORK_API int prefork_process_send(const struct prefork_process *process, const char *topic, int fd);

/** The socket address that a row with PREFORK_OPTION_ADDRESS names in the settings of the process: a sockaddr_in,
 *  sockaddr_in6 or sockaddr_un in `address`, of which `size` bytes are free. The arbiter looks up host names at the
 *  start, where it waits for lookup_timeout at most, and again at each reload, where it does not wait; it logs a name
 *  that has no address, and goes on. In the hooks of the arbiter. Returns the size of the address; -ENOENT: the row has
 *  no value, or there is no such row; -EAGAIN: the host name has no address now; -EINVAL; -ENOSPC. Since 0.1. */
PREFORK_API int prefork_process_peer(const struct prefork_process *process, const char *setting, void *address,
                                     size_t size);

#ifdef __cplusplus
}
#endif

#endif
