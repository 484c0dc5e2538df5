/* Writes the lines of this module in the error log. */
#include "http/http_log.h"

#include "base/worker_line.h"

#include <prefork/arbiter.h>

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_MAX = 1024 };

void pfi_http_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
                  const struct prefork_log_pair *pair, const char *format, ...)
{
	const struct pfi_worker_line line = { worker, level, "http", event, pair, getpid() };
	va_list arguments;

	va_start(arguments, format);
	pfi_worker_line_write(&line, format, arguments);
	va_end(arguments);
}

void pfi_http_arbiter_log(const struct prefork_arbiter *arbiter, const char *pool, enum prefork_log_level level,
                          const char *event, const char *format, ...)
{
	const struct prefork_log_pair pairs[] = { PREFORK_TEXT("event", event), PREFORK_TEXT("pool", pool) };
	char message[MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	prefork_log_write(prefork_arbiter_log(arbiter), level, "http", pairs, 2, "%s", message);
}
