/*
 * virtualenv -- find and check the virtualenv of this server.
 */
#ifndef WSGI_VIRTUALENV_H
#define WSGI_VIRTUALENV_H

#include <stddef.h>

/** Write the absolute path of the virtualenv to `path`: `wanted` (--venv) if it is not
 *  NULL, else $VIRTUAL_ENV, else the one whose bin/ contains this program or a link to it
 *  (by AT_EXECFN, else by `argv0`). "" if there is none. Relative names refer to the
 *  current directory: call it before --chdir. Returns 0, or PREFORK_ECONFIG with an error
 *  message: not a virtualenv, or one of another version or build of Python. */
int wsgi_virtualenv_find(const char *wanted, const char *argv0, char *path, size_t size);

/** The absolute path of this program; "" if it is unknown. `argv0` is argv[0]. */
const char *wsgi_virtualenv_program(const char *argv0);

/** Set it, in a process that was executed by another name, before anything uses it. */
void wsgi_virtualenv_set_program(const char *path);

#endif
