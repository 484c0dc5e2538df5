/*
 * log_settings -- logger_class and logconfig*: whether they ask for Python's logging, and its configuration from them.
 *
 * After an error the error message says why the settings cannot be used.
 */
#ifndef WSGI_LOG_SETTINGS_H
#define WSGI_LOG_SETTINGS_H

#include <stdbool.h>

struct prefork_log;
struct prefork_settings;

/** False: these settings do not ask for it, and the process stays without Python. */
bool wsgi_log_settings_may_ask(const struct prefork_settings *settings);

/** At the start: whether HTTP needs the callback `access`. A reload may ask for Python, too, so that a server with an access
 *  log has it. */
bool wsgi_log_settings_hook_access(const struct prefork_settings *settings);

/** sys.path for the class of the logger. 0, or a negative errno. The caller has the GIL. */
int wsgi_log_settings_path(const struct prefork_settings *settings);

/** Configure the logging of this process. 1: lines go through Python; 0: not asked for; a negative errno. The caller has the
 *  GIL. */
int wsgi_log_settings_configure(struct prefork_log *log, const struct prefork_settings *settings);

/** The exception that is set in Python becomes the error: -EINVAL. The caller has the GIL. */
int wsgi_log_settings_refuse(void);

#endif
