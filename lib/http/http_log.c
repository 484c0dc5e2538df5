/* Writes the lines of this module in the error log. */
#include "http/http_log.h"

#include "base/worker_line.h"

#include <stdarg.h>
#include <unistd.h>

void pfi_http_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
                  const struct prefork_log_pair *pair, const char *format, ...)
{
	const struct pfi_worker_line line = { worker, level, "http", event, pair, getpid() };
	va_list arguments;

	va_start(arguments, format);
	pfi_worker_line_write(&line, format, arguments);
	va_end(arguments);
}
