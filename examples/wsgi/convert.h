/*
 * convert -- a configuration file of gunicorn's, which is a program in Python, as one of ours.
 */
#ifndef WSGI_CONVERT_H
#define WSGI_CONVERT_H

/** Start Python in this process, which is to end soon afterwards, execute the file `path`, and print on standard
 *  output what it says. `program` is argv[0], `venv` as of the setting. 0; -EINVAL with an error message when the
 *  file fails, or when something in it has no counterpart here, which standard error then names. */
int wsgi_convert(const char *path, const char *program, const char *venv);

#endif
