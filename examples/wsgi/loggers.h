/*
 * loggers -- gunicorn.error and gunicorn.access of Python's logging, for applications that borrow
 * their handlers: what they are given goes to the error log.
 */
#ifndef WSGI_LOGGERS_H
#define WSGI_LOGGERS_H

#include "python.h"

struct prefork_log;

/** Both loggers, from the moment that somebody imports `logging`, which is not imported for them:
 *  gunicorn.error at the level `level` ("info"), gunicorn.access at INFO. `log` is borrowed for the
 *  life of the process. Again: another log, another level, which is then told to gunicorn.error.
 *  0, or -1 with an exception set. */
int wsgi_loggers_prepare(struct prefork_log *log, const char *level);

#endif
