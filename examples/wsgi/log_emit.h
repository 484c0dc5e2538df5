/*
 * log_emit -- the end of log_queue: lines become calls of prefork_wsgi.logging_bridge.
 */
#ifndef WSGI_LOG_EMIT_H
#define WSGI_LOG_EMIT_H

#include "python.h"

#include <stdbool.h>
#include <stdint.h>

struct prefork_log;

/** Pass the lines in the queue on, those that come meanwhile excluded, until `until_ms`. Lines for which Python raises an
 *  exception go to the file of `log`. The caller has the GIL. */
void wsgi_log_emit(struct prefork_log *log, int64_t until_ms);

/** Write them to the file of `log` instead; also while another thread is in wsgi_log_emit(). */
void wsgi_log_emit_write(struct prefork_log *log);

/** Whether the calling thread writes a line about a failure of Python's logging, which must not go there. */
bool wsgi_log_emit_is_direct(void);

#endif
