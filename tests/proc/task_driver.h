/*
 * task_driver -- a strategy whose loop has coroutines (ucontext), for tests of tasks. Public headers of the library
 * only. Functions of a task are called in the worker, by a task.
 */
#ifndef TESTS_TASK_DRIVER_H
#define TESTS_TASK_DRIVER_H

#include <prefork/strategy.h>

#include <stdbool.h>

struct task;

/* Before the worker starts. */
extern struct task_options {
	bool is_late;     /* tasks begin and go on after prefork_worker_dispatch(), not inside of it */
	bool reports_idle; /* the loop reports its waits: a deadline spans one turn                   */
	int refuse;       /* so many calls of `submit` fail with -EAGAIN                              */
	bool ignores_cancel; /* of tasks: `cancel_tasks` does nothing                                 */
} task_options;

extern const struct prefork_strategy task_driver;

/* The running task; NULL: the loop runs. */
struct task *task_self(void);

/* Let other tasks and the loop run for `ms`. 0; -1: the task was interrupted. */
int task_sleep(unsigned ms);

/* Start a task of the application, which calls function(user). */
void task_spawn(void (*function)(void *user), void *user);

/* End the wait or the sleep of `task` early with an error. */
void task_interrupt(struct task *task);

/* Whether the application was asked to end its tasks. */
bool task_is_cancelled(void);

#endif
