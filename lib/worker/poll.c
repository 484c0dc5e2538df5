/*
 * A worker inside the event loop of the application, which polls one epoll set (<prefork/host_loop.h>).
 *
 *     loop of the application            the worker's epoll set
 *     -----------------------            ----------------------
 *     waits; the set is readable  <----  connection, listener, control descriptor, timer, wake-up eventfd
 *     prefork_worker_dispatch()   ---->  at most 64 events
 *     waits
 *
 * The timer replaces the timeout of epoll_wait(2). It and the eventfd are edge-triggered: nothing needs to be read.
 *
 * Between two calls the application runs, and the library cannot see whether it works or waits. Unless the
 * application reports that (PREFORK_LOOP_REPORTS_IDLE), the first thread counts as busy for 1.5 timeouts after each
 * call, and the timer makes the next call at most half a timeout later. So a callback of the application gets at
 * least one timeout, whenever it began.
 */
#include "base/required.h"
#include "base/struct_size.h"
#include "listener/listener.h"
#include "model/library_options.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/open.h"
#include "os/timer.h"
#include "worker/adopt_entries.h"
#include "worker/epoll_loop.h"
#include "worker/event_turn.h"
#include "worker/own_fds.h"
#include "worker/strategies.h"
#include "worker/tasks.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/host_loop.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Lives until the worker is freed: other threads may still resume connections after `run` has returned. */
struct pfi_poll {
	struct pfi_epoll_loop loop;
	struct prefork_host_loop host;
	void *user;
	int timer;
	int wake_fd;
	atomic_bool awake;   /* inside of a call, or woken: another wake-up is not necessary           */
	unsigned forks;      /* pfi_fdtable_count_forks() of the worker                                */
	bool is_open;
	bool is_inside;      /* of a call: callbacks of the service run                                */
	bool is_over;        /* prefork_worker_dispatch() has returned 0                               */
	bool is_adopted;     /* the listeners are in the application's epoll set                       */
	uint64_t *keys;      /* by index of the listener: the data of the entries in that set          */
	uint64_t turn_ms;    /* deadline of the application's part of a turn; 0: none                  */
	uint64_t beat_ms;    /* the next call is at most so much later; 0: not needed                  */
};

static bool is_usable(const struct pfi_poll *poll)
{
	return poll && poll->is_open && poll->forks == pfi_fdtable_count_forks();
}

/* Any thread. */
static void wake(void *user)
{
	struct pfi_poll *const poll = user;
	const uint64_t one = 1;

	if (!atomic_exchange(&poll->awake, true))
		(void)!write(poll->wake_fd, &one, sizeof one);
}

static void set_timer(struct pfi_event_core *core, uint64_t at_ms)
{
	const struct pfi_poll *const poll = PFI_RING_OWNER(core, struct pfi_poll, loop.core);

	if (pfi_timer_set(poll->timer, at_ms) < 0)
		pfi_own_fds_lost(core->worker);
}

static void notify_closing(const struct pfi_poll *poll)
{
	if (poll->host.listeners_closing)
		poll->host.listeners_closing(poll->user);
}

/* The kernel may have woken this worker for a connection, and no sibling, and the application's loop may call
 * prefork_worker_dispatch() first. */
static void stop_listeners(struct pfi_event_core *core)
{
	const struct pfi_poll *const poll = PFI_RING_OWNER(core, struct pfi_poll, loop.core);

	for (size_t i = 0; poll->is_adopted && i < core->accept_set.count; i++)
		pfi_event_core_accept(core, i);
	notify_closing(poll);
}

static const struct pfi_event_driver driver = {
	.state_size = sizeof(struct pfi_event_state),
	.watch = pfi_epoll_loop_watch,
	.stop_listeners = stop_listeners,
	.set_timer = set_timer,
};

static void enter(struct pfi_poll *poll)
{
	poll->is_inside = true;
	atomic_store(&poll->awake, true);
	pfi_tasks_enter(poll->loop.core.worker->tasks);
}

/* The application's part of the turn begins. */
static void begin_turn(struct pfi_poll *poll)
{
	struct pfi_liveness *const liveness = &poll->loop.core.worker->liveness;

	if (!(poll->host.flags & PREFORK_LOOP_REPORTS_IDLE))
		pfi_liveness_begin_within(liveness, 0, poll->turn_ms);
	if (poll->beat_ms > 0)
		pfi_event_turn_set_alarm(&poll->loop.core, pfi_liveness_since_ms(liveness, 0) + poll->beat_ms);
	if (poll->loop.core.worker->tasks)
		pfi_event_turn_set_alarm(&poll->loop.core, pfi_tasks_alarm_ms(poll->loop.core.worker->tasks));
	pfi_event_turn_begin(&poll->loop.core);
}

/* The worker quits, and its tasks have some time to end. It accepts no more. */
static bool has_tasks(struct pfi_poll *poll)
{
	struct pfi_event_core *const core = &poll->loop.core;

	if (!core->worker->tasks || !pfi_tasks_stop(core->worker->tasks))
		return false;
	if (!core->accept_set.closed) {
		stop_listeners(core);
		pfi_accept_set_close(&core->accept_set);
	}
	return true;
}

/* Returns whether the loop goes on. A connection that was resumed since the last check had no wake-up, because `awake`
 * was set: it is pushed before that is read, and here `awake` is cleared before the list is read. */
static bool leave(struct pfi_poll *poll)
{
	struct pfi_event_core *const core = &poll->loop.core;

	if (!is_usable(poll)) /* a process that a task has forked returns into the turn: not the loop of the worker */
		return true;
	if (core->worker->tasks)
		pfi_tasks_turn(core->worker->tasks);
	pfi_event_turn_end(core);
	poll->is_over = !pfi_event_core_continue(core) && !has_tasks(poll);
	if (!poll->is_over)
		begin_turn(poll);
	pfi_tasks_leave(core->worker->tasks);
	poll->is_inside = false;
	atomic_store(&poll->awake, false);
	if (poll->is_over || pfi_event_core_has_work(core) || pfi_worker_has_resumed(core->worker))
		wake(poll);
	return !poll->is_over;
}

int prefork_worker_dispatch(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, 0);

	struct pfi_poll *const poll = worker->poll;

	if (!is_usable(poll) || poll->is_over)
		return 0;
	if (poll->is_inside)
		return 1;
	enter(poll);
	const unsigned found = pfi_epoll_loop_poll(&poll->loop, PFI_EPOLL_EVENTS_MAX, 0);
	if (found & PFI_EPOLL_HAS_CONTROL)
		(void)prefork_worker_check(worker);
	if (found & PFI_EPOLL_HAS_TIMER)
		pfi_event_turn_on_timer(&poll->loop.core);
	return leave(poll);
}

void prefork_worker_listener_ready(struct prefork_worker *worker, size_t index)
{
	PFI_RETURN_IF_NULL(worker, );

	struct pfi_poll *const poll = worker->poll;

	if (!is_usable(poll) || poll->is_over || poll->is_inside || index >= poll->loop.core.accept_set.count)
		return;
	enter(poll);
	pfi_event_core_accept(&poll->loop.core, index);
	(void)leave(poll);
}

/* Each connection wakes every worker that is idle. Said by one worker of the pool. */
static void log_nested(const struct prefork_worker *worker, const char *why)
{
	bool is_shared = false;

	for (size_t i = 0; i < prefork_worker_listeners(worker); i++)
		is_shared |= !prefork_worker_listener(worker, i)->sockets;
	if (is_shared && worker->context->slot == 0 && pfi_worker_settings(worker)->workers > 1)
		pfi_worker_log(worker, PREFORK_LOG_INFO, "listeners_nested",
			       "Each connection wakes every idle worker, and they are shared unevenly (reuse_port shares "
			       "them evenly): %s", why);
}

static int adopt(struct pfi_poll *poll)
{
	struct pfi_event_core *const core = &poll->loop.core;

	if (!poll->host.listeners_closing)
		return prefork_fail(-EINVAL, "adopting listeners requires the function listeners_closing");
	if (core->accept_set.closed)
		return prefork_fail(-ENOENT, "the listeners are closed");
	const int r = pfi_adopt_entries(&core->accept_set, poll->loop.epoll, poll->keys);
	pfi_event_turn_set_alarm(core, pfi_accept_set_refresh(&core->accept_set));
	if (r == 0)
		poll->is_adopted = true;
	return r < 0 ? prefork_fail(r, "no single epoll set of the application contains all listeners: %s", strerror(-r)) : 0;
}

int prefork_worker_adopt_listeners(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);

	struct pfi_poll *const poll = worker->poll;

	if (!is_usable(poll))
		return prefork_fail(-EINVAL, "the worker's loop is not open in this process");
	const int r = poll->is_adopted ? 0 : adopt(poll);
	if (r < 0)
		log_nested(worker, prefork_error());
	return r;
}

int prefork_worker_poll_fd(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);
	if (!is_usable(worker->poll))
		return prefork_fail(-EINVAL, "the worker's loop is not open in this process");
	return worker->poll->loop.epoll;
}

static int check_host(const struct prefork_worker *worker, const struct prefork_host_loop *host)
{
	const bool is_builtin = worker->strategy.run == pfi_strategy_libev.run;

	if (worker->poll)
		return prefork_fail(-EALREADY, "the worker's loop can be opened once");
	if ((worker->strategy.traits & PREFORK_STRATEGY_MAY_BLOCK) || is_builtin || pfi_worker_thread(worker) != 0)
		return prefork_fail(-EINVAL, "only a strategy of the application that does not block can open the worker's "
		                             "loop, in the first thread");
	if (!host)
		return 0;
	const int r = pfi_struct_check(host, host->struct_size, PFI_SIZE_WITH(struct prefork_host_loop, flags),
	                               sizeof *host, "struct prefork_host_loop");
	return r < 0 || !(host->flags & ~(unsigned)PREFORK_LOOP_REPORTS_IDLE) ?
		       r : prefork_fail(-EINVAL, "unknown flags 0x%x of a loop", host->flags);
}

/* Without PREFORK_LOOP_REPORTS_IDLE. */
static void set_beat(struct pfi_poll *poll)
{
	const struct pfi_liveness *const liveness = &poll->loop.core.worker->liveness;
	const uint64_t timeout_ms = liveness->timeout_ms, slow_ms = liveness->slow_ms;
	const uint64_t least_ms = slow_ms > 0 && (timeout_ms == 0 || slow_ms < timeout_ms) ? slow_ms : timeout_ms;

	if (poll->host.flags & PREFORK_LOOP_REPORTS_IDLE)
		return;
	poll->turn_ms = timeout_ms <= UINT64_MAX / 2 ? timeout_ms + timeout_ms / 2 : 0;
	poll->beat_ms = least_ms > 1 ? least_ms / 2 : least_ms;
}

/* What prefork_connection_offload() uses. */
static int open_executor(struct pfi_poll *poll)
{
	struct pfi_event_core *const core = &poll->loop.core;
	const struct prefork_host_loop *const host = &poll->host;

	if (!host->submit && !host->park && !host->unpark)
		return pfi_event_turn_open(core);
	if (!host->submit || !host->park || !host->unpark)
		return prefork_fail(-EINVAL, "a loop with tasks needs the functions submit, park and unpark");
	core->worker->tasks = pfi_tasks_open(core, host, poll->user);
	return core->worker->tasks ? 0 : prefork_fail(-ENOMEM, "no memory for tasks");
}

static int open_all(struct pfi_poll *poll, struct prefork_worker *worker)
{
	int r;

	poll->keys = calloc(prefork_worker_listeners(worker) + 1, sizeof *poll->keys);
	if (!poll->keys)
		return prefork_fail(-ENOMEM, "no memory for %zu listeners", prefork_worker_listeners(worker));
	if ((poll->wake_fd = pfi_open_eventfd()) < 0)
		return prefork_fail(poll->wake_fd, "opening an eventfd failed: %s", strerror(-poll->wake_fd));
	worker->wake_user = poll;
	worker->wake = wake;
	if ((poll->timer = pfi_timer_open()) < 0)
		return poll->timer;
	if ((r = open_executor(poll)) < 0 || (r = pfi_epoll_loop_open(&poll->loop)) < 0 ||
	    (r = pfi_epoll_loop_add(&poll->loop, poll->timer, EPOLLIN | EPOLLET, PFI_EPOLL_TIMER)) < 0 ||
	    (r = pfi_epoll_loop_add(&poll->loop, poll->wake_fd, EPOLLIN | EPOLLET, PFI_EPOLL_WAKE)) < 0)
		return r;
	pfi_own_fds_add(worker, poll->timer, "timer of connections");
	pfi_own_fds_add(worker, poll->wake_fd, "wake-up eventfd of connections");
	return 0;
}

static void close_all(struct pfi_poll *poll)
{
	struct pfi_event_core *const core = &poll->loop.core;

	poll->is_inside = true;
	if (poll->is_open && !core->accept_set.closed)
		notify_closing(poll);
	pfi_event_turn_close(core);
	pfi_tasks_close(core->worker->tasks);
	core->worker->tasks = NULL;
	pfi_epoll_loop_close(&poll->loop);
	pfi_close(&poll->timer);
	prefork_worker_idle(core->worker);
	poll->is_open = poll->is_inside = false;
}

int prefork_worker_poll_open(struct prefork_worker *worker, const struct prefork_host_loop *host, void *user)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);

	int r = check_host(worker, host);

	if (r < 0)
		return r;
	struct pfi_poll *const poll = worker->poll = calloc(1, sizeof *poll);
	if (!poll)
		return prefork_fail(-ENOMEM, "no memory for the worker's loop");
	poll->user = user;
	poll->timer = poll->wake_fd = poll->loop.epoll = -1;
	poll->forks = pfi_fdtable_count_forks();
	if (host)
		pfi_struct_copy(&poll->host, sizeof poll->host, host, host->struct_size);
	worker->strategy.traits |= PREFORK_STRATEGY_TURNS;
	pfi_event_core_init(&poll->loop.core, worker, &driver);
	r = open_all(poll, worker);
	if (r < 0) {
		close_all(poll);
		return r;
	}
	set_beat(poll);
	if (!poll->host.listeners_closing)
		log_nested(worker, "the application's loop does not watch the listeners");
	poll->is_open = true;
	pfi_event_core_start(&poll->loop.core);
	begin_turn(poll);
	return 0;
}

void prefork_worker_poll_close(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );
	if (is_usable(worker->poll) && !worker->poll->is_inside)
		close_all(worker->poll);
}

void pfi_poll_finish(struct prefork_worker *worker)
{
	struct pfi_poll *const poll = worker->poll;

	if (!poll)
		return;
	prefork_worker_poll_close(worker);
	pfi_close(&poll->wake_fd);
	free(poll->keys);
	free(poll);
	worker->poll = NULL;
}
