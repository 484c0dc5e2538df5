/*
 * host_loop -- worker classes whose event loop is Python's: gevent, and others.
 *
 * Each class has an adapter in Python, a class Loop (docs/loops-in-python.md). The adapter runs the loop and calls
 * prefork_worker_dispatch() by the methods of an object (host_worker.h); requests run in tasks of the loop, if it
 * has some. While the loop runs, its thread keeps the GIL (wsgi_gil_keep()).
 */
#ifndef WSGI_HOST_LOOP_H
#define WSGI_HOST_LOOP_H

#include "python.h"

#include <stdbool.h>

struct prefork_arbiter;
struct prefork_settings;

/** Add the classes to the setting worker_class, and their strategies to the arbiter. Return 0, or a negative errno
 *  with an error message. */
int wsgi_host_loop_add_names(struct prefork_settings *settings);
int wsgi_host_loop_add_strategies(struct prefork_arbiter *arbiter);

/** In the arbiter, before the first fork: whether the Python package of the worker class is installed. Starts Python
 *  in a process of its own. Returns 0, also for other classes, or PREFORK_ECONFIG with an error message. */
int wsgi_host_loop_check(const struct prefork_settings *settings, const char *program);

/** Load the adapter of the worker class, and let it prepare Python: before the application is imported, because the
 *  adapter may replace modules. Does nothing for other classes, and when called again. The caller has the GIL. Returns
 *  0, or -1 with an exception set. */
int wsgi_host_loop_prepare(const struct prefork_settings *settings);

/** Whether the prepared adapter loads the application itself, when it runs; and whether it serves other applications than
 *  WSGI's. The caller has the GIL. */
bool wsgi_host_loop_loads_application(void);
bool wsgi_host_loop_takes_any(void);

/** Whether the prepared adapter runs several requests at a time in one thread. The caller has the GIL. */
bool wsgi_host_loop_has_tasks(void);

#endif
