/*
 * config_file -- the configuration file in Python: which file it is, running it, and gunicorn's Config object.
 *
 * Python is started for it in the process that reads the settings, which is the arbiter. interpreter.h has the other
 * reasons for an interpreter there. The file runs once at the start. A reload runs it twice: first in a process of its own
 * (config_trial.h), then in the arbiter, both with the limit config_timeout.
 *
 * Call these functions on the first thread, without the GIL unless they say otherwise.
 */
#ifndef WSGI_CONFIG_FILE_H
#define WSGI_CONFIG_FILE_H

#include "python.h"

#include <stdbool.h>
#include <stdio.h>

struct prefork_arbiter;
struct prefork_settings;

/** Have the settings read a file in Python. Borrows `argv`, that of main(). Returns as prefork_settings_set_file_reader(). */
int wsgi_config_file_add(struct prefork_settings *settings, char *const argv[]);

/** Start Python, unless it runs, in the virtualenv of the settings, as for a configuration file. 0, and the caller has the
 *  GIL; or an error with its message. */
int wsgi_config_start_python(const struct prefork_settings *settings);

/** The same for a completion, which runs with the GIL after cfg.set(), and else without it. *ret_had_gil is for
 *  wsgi_config_leave_python(), which follows a success, and releases the GIL unless the caller had it before. */
int wsgi_config_enter_python(const struct prefork_settings *settings, bool *ret_had_gil);
void wsgi_config_leave_python(bool had_gil);

/** Whether the program has another task than to run a server: --send-reload, for example. */
bool wsgi_config_is_other_command(const struct prefork_settings *settings);

/** The items of a LIST as a *new* list of Python, and a *new* function has_row(name) of Python: is it a setting. The function
 *  is called only while the settings exist. NULL with an exception set. The caller has the GIL. */
PyObject *wsgi_config_items(const struct prefork_settings *settings, const char *row);
PyObject *wsgi_config_has_row(const struct prefork_settings *settings);

/** Remember `texts`, a list of Python, about the configuration file `file` for wsgi_config_file_report(). The caller has the
 *  GIL. */
void wsgi_config_warn(const char *file, PyObject *texts);

/** From now on, files run as a reload runs them: with the limit, and the modules that they import from their own
 *  directories are read again. The traceback of a file that fails goes to `output`; NULL: to the log. */
void wsgi_config_file_limit(FILE *output);

/** Whether a reload would read a file in Python. */
bool wsgi_config_file_is_python(const struct prefork_settings *settings);

/** Log what reading the configuration has to tell the operator, or print it to standard error while there is no log. */
void wsgi_config_file_report(void);

/** Whether a file in Python was read into these settings, or into those that they are a copy of. */
bool wsgi_config_file_was_read(const struct prefork_settings *settings);

/** Whether that file has check_config, at the start: a reload, and its trial, go on. */
bool wsgi_config_file_asks_for_check(const struct prefork_settings *settings);

/** gunicorn's Config object for these settings; they need no file. The same object each time for the settings of one
 *  reading, which pools and workers have too. *Borrowed*, until a reload that has succeeded; NULL with an exception set.
 *  The caller has the GIL. */
PyObject *wsgi_config_of(const struct prefork_settings *settings);

/** A Config object for settings that may still change, for this caller alone: *new*, or NULL with an exception set. The
 *  caller has the GIL. */
PyObject *wsgi_config_draft(const struct prefork_settings *settings);

/** Make that of wsgi_config_of() prefork_wsgi.state.cfg. Returns 0, or -1 with an exception set. The caller has the GIL. */
int wsgi_config_select(const struct prefork_settings *settings);

/** A reload has succeeded: free the Config objects of settings that were read before these. The caller has the GIL. */
void wsgi_config_keep(const struct prefork_settings *settings);

/** Carry out the calls of cfg.set() since the last call, before the start of the arbiter: the settings that it starts with
 *  get the values. Returns 0, or the error of prefork_arbiter_override(). The caller has the GIL. */
int wsgi_config_follow(struct prefork_arbiter *arbiter);

/** Around an import of the application in the arbiter (--preload): the modules that it imports stay when the file runs
 *  again. The caller has the GIL. */
void wsgi_config_import_begins(void);
void wsgi_config_import_ends(void);

#endif
