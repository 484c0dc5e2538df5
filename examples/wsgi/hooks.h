/*
 * hooks -- gunicorn's hooks, for servers whose configuration is a file in Python (prefork_wsgi.hooks).
 *
 * Without such a file all of these functions do nothing. Call them on the first thread. Those that say nothing about the
 * GIL are called without it.
 */
#ifndef WSGI_HOOKS_H
#define WSGI_HOOKS_H

#include "python.h"

#include <stdbool.h>

struct prefork_arbiter;
struct prefork_settings;
struct prefork_worker;

/** Make the object `server` after the arbiter was created, call nworkers_changed, and add the hooks of the library:
 *  before and after those that fork the interpreter. Return 0, or a negative number with an error message. */
int wsgi_hooks_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *settings);
int wsgi_hooks_add_first(struct prefork_arbiter *arbiter);
int wsgi_hooks_add_last(struct prefork_arbiter *arbiter);

/** Call on_starting, and put in force what it has set by server.cfg.set(). Returns 0, or a negative number with an error
 *  message: it has failed. */
int wsgi_hooks_starting(struct prefork_arbiter *arbiter);

/** The exit status of a hook of the start that has called sys.exit(); -1: none has. */
int wsgi_hooks_exit_status(void);

/** In a worker, before it loads the application: prepare worker_abort. The caller has the GIL since the fork. Returns 0, or
 *  PREFORK_EBOOT with an error message, and without the GIL: post_fork has failed. */
int wsgi_hooks_worker_starting(const struct prefork_worker *worker);

/** In a worker that has loaded `application`: call post_worker_init. Returns 0, or PREFORK_EBOOT with an error message. */
int wsgi_hooks_worker_started(PyObject *application);

/** At the end of a worker: call worker_exit. */
void wsgi_hooks_worker_exit(void);

#endif
