/*
 * virtualenv -- which virtualenv is this server meant to run in?
 */
#ifndef WSGI_VIRTUALENV_H
#define WSGI_VIRTUALENV_H

#include <stddef.h>

/** The directory of the virtualenv, in `path`, absolute: `wanted` (--venv) if it is
 *  not NULL, else $VIRTUAL_ENV, else the one whose bin/ holds this program, however
 *  it was started (a link to it is enough; `argv0` where the kernel does not say).
 *  "" when there is none. Relative names are looked up in the current directory: to be
 *  called before --chdir. Returns 0, or PREFORK_ECONFIG with an error message: no
 *  virtualenv there, or one of another Python than ours, or of another build. */
int wsgi_virtualenv_find(const char *wanted, const char *argv0, char *path, size_t size);

#endif
