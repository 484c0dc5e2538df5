/*
 * host_task -- requests in tasks of an event loop of Python, such as greenlets.
 *
 * The adapter has submit(work), current(), park() and unpark(task), and may have cancel(task).
 */
#ifndef WSGI_HOST_TASK_H
#define WSGI_HOST_TASK_H

#include "python.h"

#include <stdbool.h>

struct prefork_host_loop;

/** Set the functions for tasks of `ret` to those that call `loop`, an object of the adapter. The caller has the GIL.
 *  Once per process. Returns 0, or -1 with an exception set. */
int wsgi_host_tasks_open(PyObject *loop, struct prefork_host_loop *ret);

/** Whether there are tasks that have not ended. */
bool wsgi_host_tasks_remain(void);

#endif
