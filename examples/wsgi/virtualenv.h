/*
 * virtualenv -- which virtualenv is this server meant to run in?
 */
#ifndef WSGI_VIRTUALENV_H
#define WSGI_VIRTUALENV_H

#include <stddef.h>

/** The folder of the virtualenv, in `path`: `wanted` (--venv) if it is not NULL,
 *  else $VIRTUAL_ENV, else the one whose bin/ holds the program `argv0` (a link
 *  to it is enough). "" when there is none. Returns 0, or PREFORK_ECONFIG with a
 *  sentence: no virtualenv there, or one of another Python than ours. */
int wsgi_virtualenv_find(const char *wanted, const char *argv0, char *path, size_t size);

#endif
