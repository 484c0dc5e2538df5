/*
 * http_log -- the lines of this module in the error log: a message, then event=EVENT pool=NAME slot=N pid=N.
 *
 * docs/log.md lists them; tests/shape/log.py checks the list.
 */
#ifndef HTTP_HTTP_LOG_H
#define HTTP_HTTP_LOG_H

#include <prefork/log.h>

struct prefork_arbiter;
struct prefork_worker;

/* `pair` follows the others; NULL: none. Any thread of the worker. */
void pfi_http_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
                  const struct prefork_log_pair *pair, const char *format, ...) PREFORK_PRINTF(5, 6);

/* A line of the arbiter about a pool: event=EVENT pool=NAME. */
void pfi_http_arbiter_log(const struct prefork_arbiter *arbiter, const char *pool, enum prefork_log_level level,
                          const char *event, const char *format, ...) PREFORK_PRINTF(5, 6);

#endif
