/*
 * strategies -- the worker loops that come with the library.
 *
 * Each is written against <prefork/strategy.h>, as a host's own would be.
 */
#ifndef WORKER_STRATEGIES_H
#define WORKER_STRATEGIES_H

#include <prefork/strategy.h>

/* One request at a time; what waits for its client waits in an epoll set. */
extern const struct prefork_strategy pfi_strategy_sync;

/* Several requests at a time, each in a thread of its own. */
extern const struct prefork_strategy pfi_strategy_threads;

/* One libev loop, in which nothing blocks. In a library without libev it only says so. */
extern const struct prefork_strategy pfi_strategy_libev;

#endif
