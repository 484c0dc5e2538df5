/*
 * tasks -- work that may block, in tasks (coroutines) of the application's loop instead of threads.
 *
 *     dispatch                     application                    task
 *     --------                     -----------                    ----
 *     submit(connection)   ---->   switches to a new task  ---->  prefork_connection_work(): work
 *                                                                   prefork_connection_wait()
 *     submit returns       <----   switches back           <----    park(wait)
 *     ...
 *     the client sends data
 *     unpark(wait)         ---->   switches to the task    ---->    park returns
 *                                                                 work returns
 *     unpark returns       <----   switches back           <----  the task ends
 *
 * The connection is suspended while its work runs. Work that returns inside of `submit` returns its result through
 * it; later results are resumed connections.
 *
 * The library does not see how the application switches between tasks. It knows only whether this thread is inside of
 * the loop's own code (`in_loop`): that is so from the beginning to the end of a call of prefork_worker_dispatch(),
 * except inside of `submit` and `unpark`. Everything else that runs in the first thread is a task, or the application's
 * own code, whose park fails. First thread only.
 */
#ifndef WORKER_TASKS_H
#define WORKER_TASKS_H

#include "model/worker_score.h"
#include "worker/event_state.h"

#include <prefork/host_loop.h>
#include <prefork/service.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pfi_loop_task;

struct pfi_tasks {
	struct prefork_worker *worker;
	struct pfi_event_core *core;
	struct prefork_host_loop host;
	void *user;
	unsigned forks;        /* pfi_fdtable_count_forks() of the worker                  */
	bool in_loop;
	bool is_stopping;      /* waits for connections fail with -EINTR                   */
	uint64_t stop_ms;      /* until then the tasks of a quitting worker have time      */
	size_t count;          /* tasks whose work has not returned                        */
	_Atomic size_t queued; /* of these: whose work has not begun; any thread reads it  */
	size_t wait_count;     /* struct prefork_wait allocated: at least one for each task */
	struct pfi_loop_task *free_tasks;
	struct prefork_wait *free_waits;
	char last[PFI_ACTIVITY_SIZE]; /* activity of the task that began last */
};

/* Tasks for `host`, whose functions submit, park and unpark are not NULL. NULL: no memory. */
struct pfi_tasks *pfi_tasks_open(struct pfi_event_core *core, const struct prefork_host_loop *host, void *user);

/* All tasks have ended, or will never run again. NULL is allowed. */
void pfi_tasks_close(struct pfi_tasks *tasks);

/* The loop begins and ends a call of its own code. */
void pfi_tasks_enter(struct pfi_tasks *tasks);
void pfi_tasks_leave(struct pfi_tasks *tasks);

/* Call `work` in a new task. 0 and what the connection waits for, or the negative errno of the application; then `work`
 * is not called. Inside of the loop. */
int pfi_tasks_submit(struct pfi_tasks *tasks, struct prefork_connection *connection, prefork_work_function *work,
                     void *user, enum prefork_next *ret_next);

/* prefork_connection_wait() of a task, until `until_ms` (0: no limit). */
int pfi_tasks_wait(struct pfi_tasks *tasks, struct prefork_connection *connection, enum prefork_next event,
                   uint64_t until_ms);

/* End the waits of tasks for `connection` with -ECANCELED. Returns whether there were any. */
bool pfi_tasks_cancel_waits(struct pfi_tasks *tasks, struct prefork_connection *connection);

/* The activity of a task: the log names it if the thread hangs while the task runs. */
void pfi_tasks_set_activity(struct pfi_tasks *tasks, struct pfi_loop_task *task, const char *bytes, size_t size);

/* When the loop must call pfi_tasks_turn() or pfi_tasks_stop(); 0: not needed. */
uint64_t pfi_tasks_alarm_ms(const struct pfi_tasks *tasks);

/* Once per turn, after the events: let the tasks go on whose wait is over. If graceful_timeout is nearly over, ask the
 * tasks to end. Inside of the loop. */
void pfi_tasks_turn(struct pfi_tasks *tasks);

/* The worker quits: ask the tasks to end. Returns whether there are some, and their time is not over. */
bool pfi_tasks_stop(struct pfi_tasks *tasks);

#endif
