/*
 * loggers -- loggers gunicorn.error and gunicorn.access of Python's logging, for applications that
 * reuse their handlers: records go to the error log.
 */
#ifndef WSGI_LOGGERS_H
#define WSGI_LOGGERS_H

#include "python.h"

struct prefork_log;

/** Create both loggers as soon as the application imports `logging`; it is not imported for them.
 *  gunicorn.error has the level `level` ("info"), gunicorn.access INFO. `log` is borrowed until the
 *  process exits. A later call sets another log and, if it differs, another level. Returns 0, or -1
 *  with an exception set. */
int wsgi_loggers_prepare(struct prefork_log *log, const char *level);

#endif
