/*
 * strategies -- the worker classes of the library.
 *
 * They use <prefork/strategy.h>, like a strategy of an application.
 */
#ifndef WORKER_STRATEGIES_H
#define WORKER_STRATEGIES_H

#include <prefork/strategy.h>

/* One request at a time; idle connections wait in an epoll set. */
extern const struct prefork_strategy pfi_strategy_sync;

/* Several requests at a time, each in a thread. */
extern const struct prefork_strategy pfi_strategy_threads;

/* One libev loop in which nothing may block. Without `run` in a library that was built without libev. */
extern const struct prefork_strategy pfi_strategy_libev;

#endif
