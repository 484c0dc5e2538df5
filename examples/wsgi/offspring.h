/*
 * offspring -- processes that the application forks (os.fork(), multiprocessing) are
 * no workers.
 *
 * They hear signals as a process of their own, hold no listening socket, and one that comes
 * back from the application ends there: it must neither answer its parent's
 * client nor serve others.
 */
#ifndef WSGI_OFFSPRING_H
#define WSGI_OFFSPRING_H

#include <stdbool.h>

struct prefork_worker;

/** In each worker, before the application is loaded. */
void wsgi_offspring_prepare(const struct prefork_worker *worker);

/** This process was forked by the application. */
extern bool wsgi_is_offspring;

/** It came back from the application, with an exception or without: do what python3 does
 *  at its end, and leave with the status of sys.exit(). The caller has the GIL. */
_Noreturn void wsgi_offspring_end(void);

#endif
