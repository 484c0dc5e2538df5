/*
 * build -- is another interpreter the same build of Python as ours?
 */
#ifndef WSGI_BUILD_H
#define WSGI_BUILD_H

/** 0 if the interpreter `python` is the file that prefork-wsgi was built with, or says the
 *  same version and build of itself. Asking runs it, for at most 5 seconds, and only where
 *  the files differ. PREFORK_ECONFIG with an error message that begins with `said_by` and says
 *  what to do: another build, or one that does not run. */
int wsgi_build_check(const char *python, const char *venv, const char *said_by);

#endif
