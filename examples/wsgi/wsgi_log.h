/*
 * wsgi_log -- the lines of prefork-wsgi in the error log: a message, then event=EVENT pool=NAME slot=N pid=N.
 *
 * Log and pool are process-wide: a process has one worker, or is the arbiter.
 */
#ifndef WSGI_LOG_H
#define WSGI_LOG_H

#include <prefork/log.h>

#include <stdbool.h>
#include <stddef.h>

/** Log to `log` from now on. `pool` and `slot` are those of the worker; NULL and 0 in the arbiter, whose lines have
 *  neither. *Borrows* both pointers. No other thread may log during the call. */
void wsgi_log_prepare(struct prefork_log *log, const char *pool, unsigned slot);

/** The slot of the worker; 0 in the arbiter. */
unsigned wsgi_log_slot(void);

/** False before the first call of wsgi_log_prepare(). */
bool wsgi_log_is_open(void);

/** Write one line. Any thread, with or without the GIL. */
void wsgi_log(enum prefork_log_level level, const char *event, const char *format, ...) PREFORK_PRINTF(3, 4);

/** Write one line, and below it `size` bytes of `text`, which has several lines: a traceback. */
void wsgi_log_block(enum prefork_log_level level, const char *event, const char *text, size_t size, const char *format,
                    ...) PREFORK_PRINTF(5, 6);

#endif
