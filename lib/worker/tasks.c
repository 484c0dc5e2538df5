/* Runs work in tasks of the application, and suspends a task while it waits for its connection. */
#include "worker/tasks.h"

#include "base/required.h"
#include "model/drain.h"
#include "model/library_options.h"
#include "os/clock.h"
#include "os/fdtable.h"
#include "worker/connection.h"
#include "worker/event_turn.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Public: the application's handle of a task that waits. */
struct prefork_wait {
	struct pfi_event_wait base; /* first */
	void *user;
	struct prefork_wait *next;  /* in `free_waits` */
};

struct pfi_loop_task {
	bool has_begun;         /* prefork_connection_work() was called                     */
	bool in_submit;         /* `submit` of the application has not returned             */
	bool is_over;           /* inside of `submit`: the work has returned `result`       */
	enum prefork_next result;
	struct pfi_loop_task *next;  /* in `free_tasks`                                          */
	char activity[PFI_ACTIVITY_SIZE];
};

struct pfi_tasks *pfi_tasks_open(struct pfi_event_core *core, const struct prefork_host_loop *host, void *user)
{
	struct pfi_tasks *const tasks = calloc(1, sizeof *tasks);

	if (!tasks)
		return NULL;
	tasks->worker = core->worker;
	tasks->core = core;
	tasks->host = *host;
	tasks->user = user;
	tasks->forks = pfi_fdtable_count_forks();
	return tasks;
}

/* Waits of tasks that never run again are still in the rings of the core. */
static void drop_waits(struct pfi_ring *ring)
{
	struct pfi_ring *link;

	while ((link = pfi_ring_take(ring)) != NULL)
		free(PFI_RING_OWNER(link, struct prefork_wait, base.link));
}

void pfi_tasks_close(struct pfi_tasks *tasks)
{
	if (!tasks)
		return;
	while (tasks->free_tasks) {
		struct pfi_loop_task *const task = tasks->free_tasks;

		tasks->free_tasks = task->next;
		free(task);
	}
	while (tasks->free_waits) {
		struct prefork_wait *const wait = tasks->free_waits;

		tasks->free_waits = wait->next;
		free(wait);
	}
	drop_waits(&tasks->core->parked);
	drop_waits(&tasks->core->due);
	free(tasks);
}

static void set_activity(const struct pfi_tasks *tasks, const char *text, size_t size)
{
	prefork_worker_set_activity(tasks->worker, text, size);
}

/* The application runs, or a task that it resumes by itself: which one, it does not report. So that the log does not
 * name an innocent one if this thread hangs, it names none. Without tasks the last activity stays. */
static void leave_activity(const struct pfi_tasks *tasks)
{
	static const char prefix[] = "a task; the last to begin: ";
	char text[sizeof prefix + PFI_ACTIVITY_SIZE];
	const size_t length = strlen(tasks->last);

	if (tasks->count == 0)
		return;
	memcpy(text, prefix, sizeof prefix - 1);
	memcpy(text + sizeof prefix - 1, tasks->last, length);
	set_activity(tasks, text, length > 0 ? sizeof prefix - 1 + length : 0);
}

/* The loop's own code runs, and not the task that has run last. */
static void enter_loop(struct pfi_tasks *tasks)
{
	tasks->in_loop = true;
	if (tasks->count > 0)
		set_activity(tasks, "", 0);
}

void pfi_tasks_enter(struct pfi_tasks *tasks)
{
	if (tasks)
		enter_loop(tasks);
}

void pfi_tasks_leave(struct pfi_tasks *tasks)
{
	if (!tasks)
		return;
	tasks->in_loop = false;
	leave_activity(tasks);
}

static void add_free_wait(struct pfi_tasks *tasks, struct prefork_wait *wait)
{
	wait->next = tasks->free_waits;
	tasks->free_waits = wait;
}

static struct prefork_wait *create_wait(struct pfi_tasks *tasks)
{
	struct prefork_wait *const wait = malloc(sizeof *wait);

	tasks->wait_count += wait != NULL;
	return wait;
}

/* A task that has begun must be able to wait: without memory it would spin until another one ends. */
static bool reserve_wait(struct pfi_tasks *tasks)
{
	struct prefork_wait *wait;

	if (tasks->wait_count > tasks->count)
		return true;
	wait = create_wait(tasks);
	if (wait)
		add_free_wait(tasks, wait);
	return wait;
}

static struct pfi_loop_task *take_task(struct pfi_tasks *tasks)
{
	struct pfi_loop_task *task = tasks->free_tasks;

	if (!reserve_wait(tasks))
		return NULL;
	if (task)
		tasks->free_tasks = task->next;
	else
		task = malloc(sizeof *task);
	if (task)
		*task = (struct pfi_loop_task){ .in_submit = true };
	return task;
}

static void end_task(struct pfi_tasks *tasks, struct prefork_connection *connection)
{
	struct pfi_loop_task *const task = connection->task;

	connection->task = NULL;
	task->next = tasks->free_tasks;
	tasks->free_tasks = task;
}

int pfi_tasks_submit(struct pfi_tasks *tasks, struct prefork_connection *connection, prefork_work_function *work,
                     void *user, enum prefork_next *ret_next)
{
	struct pfi_loop_task *const task = take_task(tasks);
	int r;

	if (!task)
		return prefork_fail(-ENOMEM, "no memory for a task");
	connection->task = task;
	connection->work = work;
	connection->work_user = user;
	tasks->count++;
	atomic_fetch_add_explicit(&tasks->queued, 1, memory_order_relaxed);
	tasks->in_loop = false; /* it may switch to a task */
	r = tasks->host.submit(connection, tasks->user);
	enter_loop(tasks);
	task->in_submit = false;
	*ret_next = task->is_over ? task->result : PREFORK_SUSPENDED;
	if (task->has_begun)
		r = 0;
	if (r < 0) {
		tasks->count--;
		atomic_fetch_sub_explicit(&tasks->queued, 1, memory_order_relaxed);
		connection->work = NULL;
		(void)prefork_fail(r, "the application's loop cannot start a task: %s", strerror(-r));
	}
	if (r < 0 || task->is_over)
		end_task(tasks, connection);
	return r < 0 ? r : 0;
}

static bool is_forked(const struct pfi_tasks *tasks)
{
	return tasks->forks != pfi_fdtable_count_forks();
}

void prefork_connection_work(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, );

	struct pfi_tasks *const tasks = connection->worker->tasks;
	struct pfi_loop_task *const task = connection->task;

	if (!tasks || !task || task->has_begun)
		return;
	prefork_work_function *const work = connection->work;
	connection->work = NULL;
	task->has_begun = true;
	atomic_fetch_sub_explicit(&tasks->queued, 1, memory_order_relaxed);
	const enum prefork_next next = work(tasks->worker, connection, connection->work_user);
	if (is_forked(tasks))
		return;
	tasks->count--;
	task->is_over = true;
	task->result = next;
	leave_activity(tasks);
	if (task->in_submit)
		return; /* pfi_tasks_submit() returns it */
	end_task(tasks, connection);
	if (next != PREFORK_SUSPENDED) /* otherwise the application resumes it */
		prefork_connection_resume(connection, next);
}

void pfi_tasks_set_activity(struct pfi_tasks *tasks, struct pfi_loop_task *task, const char *bytes, size_t size)
{
	if (size > sizeof task->activity - 1)
		size = sizeof task->activity - 1;
	memcpy(task->activity, bytes, size);
	task->activity[size] = '\0';
	memcpy(tasks->last, task->activity, size + 1);
}

/* Until the wait is over, or the application wants the task for something else. */
static int park(struct pfi_tasks *tasks, struct prefork_wait *wait)
{
	int r = 0;

	leave_activity(tasks);
	while (r >= 0 && !wait->base.is_over)
		r = tasks->host.park(wait, tasks->user);
	return r < 0 ? -ECANCELED : wait->base.result;
}

/* Other tasks have run meanwhile: each has its own error message. */
static int park_and_restore(struct pfi_tasks *tasks, struct prefork_wait *wait, struct prefork_connection *owner)
{
	char *const message = *prefork_error() != '\0' ? strdup(prefork_error()) : NULL;
	const int r = park(tasks, wait);

	if (message)
		(void)prefork_fail(r, "%s", message);
	else
		prefork_error_clear();
	free(message);
	if (owner->task)
		set_activity(tasks, owner->task->activity, strlen(owner->task->activity));
	return r;
}

static int report(int result)
{
	switch (result) {
	case -ETIMEDOUT:
		return prefork_fail(result, "timed out waiting for the client");
	case -EINTR:
		return prefork_fail(result, "the worker quits");
	case -ECANCELED:
		return prefork_fail(result, "the wait of a task was cancelled");
	default:
		return result;
	}
}

int pfi_tasks_wait(struct pfi_tasks *tasks, struct prefork_connection *connection, enum prefork_next event,
                   uint64_t until_ms)
{
	const bool is_for_time = event == PREFORK_AGAIN;
	struct prefork_wait *wait = tasks->free_waits;
	int r;

	if (is_forked(tasks))
		return report(-ECANCELED);
	if (!is_for_time && (tasks->is_stopping || pfi_worker_directive(tasks->worker) == PREFORK_QUIT))
		return report(-EINTR);
	if (wait)
		tasks->free_waits = wait->next;
	else if (!(wait = create_wait(tasks)))
		return prefork_fail(-ENOMEM, "no memory for a task that waits");
	*wait = (struct prefork_wait){ .base.event = event };
	r = pfi_event_wait_begin(tasks->core, &wait->base, is_for_time ? NULL : connection, until_ms);
	if (r < 0) {
		add_free_wait(tasks, wait);
		return prefork_fail(r, "a task cannot wait for its connection: %s", strerror(-r));
	}
	pfi_event_turn_set_alarm(tasks->core, until_ms);
	r = park_and_restore(tasks, wait, connection);
	pfi_event_wait_end(tasks->core, &wait->base);
	add_free_wait(tasks, wait);
	return report(is_for_time && r == -ETIMEDOUT ? 0 : r);
}

void prefork_wait_set_user(struct prefork_wait *wait, void *user)
{
	PFI_RETURN_IF_NULL(wait, );
	wait->user = user;
}

void *prefork_wait_user(const struct prefork_wait *wait)
{
	PFI_RETURN_IF_NULL(wait, NULL);
	return wait->user;
}

bool pfi_tasks_cancel_waits(struct pfi_tasks *tasks, struct prefork_connection *connection)
{
	struct pfi_event_state *const state = connection->driver;

	if (is_forked(tasks) || !state || !state->waits)
		return false;
	pfi_event_state_finish_waits(tasks->core, state, -ECANCELED);
	tasks->worker->wake(tasks->worker->wake_user);
	return true;
}

/* Tasks that are due from now on, perhaps again, run in the next turn. */
static void run_due(struct pfi_tasks *tasks)
{
	struct pfi_event_core *const core = tasks->core;
	struct pfi_ring *link;

	pfi_ring_move(&core->running, &core->due);
	while ((link = pfi_ring_take(&core->running)) != NULL) {
		struct prefork_wait *const wait = PFI_RING_OWNER(link, struct prefork_wait, base.link);

		prefork_worker_busy(tasks->worker);
		tasks->in_loop = false;
		tasks->host.unpark(wait, tasks->user);
		enter_loop(tasks);
	}
}

/* Waits end, so that tasks that wait for a connection can end by themselves; the application ends the others. */
static void cancel_tasks(struct pfi_tasks *tasks)
{
	tasks->is_stopping = true;
	pfi_event_wait_finish_all(tasks->core, -EINTR);
	if (!tasks->host.cancel_tasks)
		return;
	tasks->in_loop = false; /* it may switch to a task */
	tasks->host.cancel_tasks(tasks->user);
	enter_loop(tasks);
}

/* When the tasks of a draining worker must end; 0: not yet known, or they were asked to. */
static uint64_t drain_cancel_ms(const struct pfi_tasks *tasks)
{
	const uint64_t end_ms = atomic_load(&tasks->worker->drain_end_ms);

	if (tasks->is_stopping || pfi_worker_directive(tasks->worker) == PREFORK_CONTINUE)
		return 0;
	return pfi_drain_cancel_ms(end_ms, pfi_worker_settings(tasks->worker)->graceful_timeout_ms);
}

uint64_t pfi_tasks_alarm_ms(const struct pfi_tasks *tasks)
{
	const uint64_t wait_ms = pfi_deadline_heap_next_ms(&tasks->core->wait_deadlines);
	const uint64_t cancel_ms = tasks->stop_ms > 0 ? tasks->stop_ms : drain_cancel_ms(tasks);

	return cancel_ms > 0 && (wait_ms == 0 || cancel_ms < wait_ms) ? cancel_ms : wait_ms;
}

void pfi_tasks_turn(struct pfi_tasks *tasks)
{
	if (tasks->core->alarm_fired) {
		const uint64_t now_ms = pfi_now_ms(), cancel_ms = drain_cancel_ms(tasks);

		pfi_event_wait_expire(tasks->core, now_ms);
		if (cancel_ms > 0 && now_ms >= cancel_ms)
			cancel_tasks(tasks);
	}
	run_due(tasks);
}

bool pfi_tasks_stop(struct pfi_tasks *tasks)
{
	const uint64_t now_ms = pfi_now_ms();

	if (tasks->stop_ms == 0 && tasks->count > 0) {
		tasks->stop_ms = now_ms + pfi_worker_settings(tasks->worker)->abort_timeout_ms / 2;
		cancel_tasks(tasks);
	}
	return tasks->count > 0 && now_ms < tasks->stop_ms;
}
