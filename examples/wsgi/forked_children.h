/*
 * offspring -- processes that the application forks (os.fork(), multiprocessing) are
 * no workers.
 *
 * They hear signals as a process of their own, hold no descriptor of the library (no listening
 * socket, no connection), and one that comes back from the application ends there: it must neither
 * answer its parent's client nor serve others.
 */
#ifndef WSGI_FORKED_CHILDREN_H
#define WSGI_FORKED_CHILDREN_H

#include <stdbool.h>

/** In each worker, before the application is loaded, and in the arbiter before it is preloaded there. */
void wsgi_forked_children_prepare(void);

/** This process was forked by the application. */
extern bool wsgi_is_forked_children;

/** It came back from the application, with an exception or without: do what python3 does
 *  at its end, and leave with the status of sys.exit(). The caller has the GIL. */
_Noreturn void wsgi_forked_children_end(void);

#endif
