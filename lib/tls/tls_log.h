/*
 * tls_log -- the lines of this module in the error log: a message, then event=EVENT pool=NAME slot=N pid=N from a worker,
 * and event=EVENT from the arbiter.
 *
 * docs/log.md lists them; tests/shape/log.py checks the list.
 */
#ifndef TLS_TLS_LOG_H
#define TLS_TLS_LOG_H

#include <prefork/log.h>

struct prefork_arbiter;
struct prefork_worker;

/* `pair` follows the others; NULL: none. Any thread of the worker. */
void pfi_tls_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
		 const struct prefork_log_pair *pair, const char *format, ...) PREFORK_PRINTF(5, 6);

void pfi_tls_arbiter_log(const struct prefork_arbiter *arbiter, enum prefork_log_level level, const char *event,
			 const char *format, ...) PREFORK_PRINTF(4, 5);

#endif
