/*
 * variables -- has os.environ follow the environment of the process, which the library changes while Python runs.
 *
 * os.environ is a copy that Python makes when it starts. Neither function calls setenv(3) or unsetenv(3): in a forked
 * process, another thread of the parent may have held their lock. The caller has the GIL.
 */
#ifndef WSGI_VARIABLES_H
#define WSGI_VARIABLES_H

/** Give os.environ the value of one variable. Without memory it keeps what it has. */
void wsgi_variables_follow(const char *name);

/** Remove from os.environ what the environment does not have any more. */
void wsgi_variables_follow_removals(void);

#endif
