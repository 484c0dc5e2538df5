/*
 * interpreter -- the one CPython of this process: born, forked, shared between
 * threads, and put to rest.
 *
 * Without --preload the arbiter has none: each worker makes its own after the
 * fork, which boots faster than gunicorn and leaves the arbiter small. With
 * --preload it is made in the arbiter and the fork hooks below keep it whole.
 *
 * Threads: every thread has a thread state of its own, made the first time it
 * takes the GIL and deleted when the thread ends. Signals are never Python's here.
 */
#ifndef WSGI_INTERPRETER_H
#define WSGI_INTERPRETER_H

#include "python.h"

#include <stdbool.h>

/** Start Python. `program` is argv[0]; `venv` the directory of a virtualenv or
 *  NULL. The calling thread has the GIL afterwards. Returns 0, or PREFORK_EBOOT
 *  with an error message. */
int wsgi_python_start(const char *program, const char *venv);

bool wsgi_python_runs(void);

/** The interpreter, and the calling thread's state in it; NULL: there is none.
 *  Async-signal-safe. */
PyInterpreterState *wsgi_python_interpreter(void);
PyThreadState *wsgi_python_own_state(void);

/** Around every use of Python, by any thread. False when memory ran out, and
 *  then the GIL was not taken. */
bool wsgi_gil_take(void);
void wsgi_gil_release(void);

/** Let other threads have the GIL for a moment. */
void wsgi_gil_yield(void);

/** Give up a reference without having the GIL: it is dropped when this thread takes
 *  the GIL next. One at a time, and none of great size. */
void wsgi_drop_later(PyObject *object);

/** The fork hooks: nothing happens where Python does not run yet. The child
 *  has the GIL after wsgi_python_in_child(). */
void wsgi_python_before_fork(void);
void wsgi_python_in_parent(void);
void wsgi_python_in_child(void);

/** Collect what the import left, and let no later collection touch, and so
 *  copy, the pages that the workers share. The caller has the GIL. */
void wsgi_python_freeze(void);

/** What an exit of python3 would do for the application: join its threads, run
 *  atexit, flush. The caller has the GIL; or, stop, it is taken if Python runs. */
void wsgi_python_finish(void);
void wsgi_python_stop(void);

#endif
