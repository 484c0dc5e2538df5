/*
 * config_path -- which configuration file is read, and whether it is a program in Python.
 */
#ifndef WSGI_CONFIG_PATH_H
#define WSGI_CONFIG_PATH_H

#include <stdbool.h>
#include <stddef.h>

struct prefork_settings;

struct wsgi_config_path {
	char location[4096];  /* an absolute path, or "python:MODULE"                          */
	char name[4096];      /* as the operator wrote it, for messages                        */
	char directory[4096]; /* in which it runs: --chdir, else the directory of the start     */
};

/** The file that `config`, the value of --config, names (NULL: the default, gunicorn.conf.py in the directory), if it is
 *  in Python: "python:MODULE", a name that ends in .py, or a text that is no INI file. Relative names are looked up in
 *  --chdir first, as gunicorn does, and then in the directory of the start. False: there is no such file, or it is to be
 *  read as an INI file. */
bool wsgi_config_path_find(const struct prefork_settings *settings, const char *config, struct wsgi_config_path *ret);

#endif
