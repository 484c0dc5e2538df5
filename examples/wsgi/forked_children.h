/*
 * forked_children -- processes that the application forks (os.fork(), multiprocessing) are
 * not workers.
 *
 * They have default signal dispositions and no descriptor of the library: no listening socket,
 * no connection. A child that returns from the application exits: it must not respond to the
 * request of its parent, and must not serve further requests.
 */
#ifndef WSGI_FORKED_CHILDREN_H
#define WSGI_FORKED_CHILDREN_H

#include <stdbool.h>

/** Register the fork handlers. Call it in each worker before the application is loaded, and in the
 *  arbiter before it is preloaded. */
void wsgi_forked_children_prepare(void);

/** True in a process that the application has forked. */
extern bool wsgi_is_forked_child;

/** The child has returned from the application, with or without an exception: finish as python3
 *  does, and exit with the status of sys.exit(). The caller has the GIL. */
_Noreturn void wsgi_forked_child_exit(void);

/** After each call into code of the application, with the GIL: a child that this code has forked and that has returned
 *  from it must not go on as its parent. */
static inline void wsgi_forked_child_stop(void)
{
	if (wsgi_is_forked_child)
		wsgi_forked_child_exit();
}

#endif
