/*
 * loggers -- loggers gunicorn.error and gunicorn.access of Python's logging, for applications that
 * reuse their handlers: records go to the error log.
 */
#ifndef WSGI_LOGGERS_H
#define WSGI_LOGGERS_H

#include "python.h"

#include <stdbool.h>

struct prefork_log;
struct prefork_settings;

/** Create both loggers as soon as the application imports `logging`; it is not imported for them.
 *  gunicorn.error has the level of the setting loglevel, gunicorn.access INFO. `log`, that of the
 *  setting errorlog, is borrowed until the process exits. A later call sets another log and, if it
 *  differs, another level. Returns 0, or -1 with an exception set. */
int wsgi_loggers_prepare(struct prefork_log *log, const struct prefork_settings *settings);

/** Where Python writes the access log: open the log file of the settings accesslog and syslog for its handler, in the
 *  arbiter, before the workers. A later call replaces it. Returns 0, or -1 with an exception set. */
int wsgi_loggers_open_access(const struct prefork_settings *settings);

/** Whether these settings have an access log. */
bool wsgi_loggers_have_access(const struct prefork_settings *settings);

/** Open that file again after a rotation. 0, or a negative errno with an error message. */
int wsgi_loggers_reopen_access(void);

#endif
