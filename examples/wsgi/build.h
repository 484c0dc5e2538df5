/*
 * build -- compare the Python of a virtualenv with the one that prefork-wsgi is built with.
 */
#ifndef WSGI_BUILD_H
#define WSGI_BUILD_H

/** Returns 0 if the interpreter `python` is the file that prefork-wsgi was built with, or has
 *  the same sys.version. Only if the files differ is it run, for at most 5 s. Returns
 *  PREFORK_ECONFIG with an error message that begins with `source` and contains the remedy,
 *  if it is another build or does not run. */
int wsgi_build_check(const char *python, const char *venv, const char *source);

#endif
