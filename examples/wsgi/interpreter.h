/*
 * interpreter -- the CPython interpreter of this process: start, fork, threads, exit.
 *
 * Usually the arbiter has none: each worker starts its own after the fork, which
 * boots faster than gunicorn and keeps the arbiter small. It is started in the
 * arbiter for --preload, a configuration file in Python, --paste, and logger_class
 * or logconfig*; the fork hooks below then keep it valid.
 *
 * Threads: each thread has its own thread state, created the first time it takes
 * the GIL and deleted when it exits. Python installs no signal handlers.
 */
#ifndef WSGI_INTERPRETER_H
#define WSGI_INTERPRETER_H

#include "python.h"

#include <stdbool.h>

struct prefork_request;

/** Start Python. `program` is argv[0]; `venv` the directory of a virtualenv or
 *  NULL. The calling thread has the GIL afterwards. Returns 0, or PREFORK_EBOOT
 *  with an error message. */
int wsgi_python_start(const char *program, const char *venv);

/** True after wsgi_python_start(). */
bool wsgi_python_runs(void);

/** The interpreter, and the thread state of the calling thread; NULL if there is none.
 *  Async-signal-safe. */
PyInterpreterState *wsgi_python_interpreter(void);
PyThreadState *wsgi_python_own_state(void);

/** Required around every use of Python, in any thread. Returns false without memory; the
 *  GIL is then not held. */
bool wsgi_gil_take(void);
void wsgi_gil_release(void);

/** Whether the calling thread has the GIL. For code that hooks of Python cause to run, and others, too. */
bool wsgi_gil_is_held(void);

/** While the calling thread runs an event loop of Python, it has the GIL whenever the two functions are called: they do
 *  nothing from wsgi_gil_keep(true), which it calls with the GIL, to wsgi_gil_keep(false). */
void wsgi_gil_keep(bool keeps);

/** Have each thread that takes the GIL for the first time call `function` as its trace function (sys.settrace). NULL: none.
 *  The caller has the GIL. */
void wsgi_python_trace(PyObject *function);

/** The application sends no more in this task. An exception that was thrown into it while the library waited for its
 *  client has ended the wait, and there is no Python code left to catch it. Does nothing in other threads. */
void wsgi_drop_thrown(void);

/** Let another thread or, if the caller is a task, another task go on for 1 ms. The caller has the GIL, and may have
 *  an exception set. */
void wsgi_yield(struct prefork_request *request);

/** Takes `object`, without the GIL: the reference is dropped when this thread takes the GIL
 *  again. Holds one object at a time, which should be small. */
void wsgi_drop_later(PyObject *object);

/** Fork hooks, without effect if Python does not run. The child has the GIL after
 *  wsgi_python_in_child(). */
void wsgi_python_before_fork(void);
void wsgi_python_in_parent(void);
void wsgi_python_in_child(void);

/** Collect garbage of the import, and exclude the rest from later collections, which would
 *  write to, and so copy, pages that the workers share. The caller has the GIL. */
void wsgi_python_freeze(void);

/** The same after each run of a configuration file that is in force: only the first call freezes objects, the others free
 *  those of the run before. */
void wsgi_python_share(void);

/** Finish as python3 does: join threads, run atexit functions, flush. The caller has the GIL. */
void wsgi_python_finish(void);

/** Tasks that have not ended must never run again, because their connections are closed: wsgi_python_stop() only
 *  flushes. */
void wsgi_python_abandon_tasks(void);

/** The same, if Python runs. The caller does not have the GIL. */
void wsgi_python_stop(void);

#endif
