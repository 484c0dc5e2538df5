/*
 * convert -- convert a configuration file of gunicorn, which is a Python program, to INI.
 */
#ifndef WSGI_CONVERT_H
#define WSGI_CONVERT_H

/** Start Python in this process, execute the file `path`, and print its settings to standard output. The process
 *  should exit afterwards. `program` is argv[0], `venv` the setting. Returns 0; -EINVAL with an error message if the
 *  file fails, or if a setting has no counterpart: those are listed on standard error. */
int wsgi_convert(const char *path, const char *program, const char *venv);

#endif
