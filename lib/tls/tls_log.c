/* Writes the lines of this module in the error log. */
#include "tls/tls_log.h"

#include "base/worker_line.h"

#include <prefork/arbiter.h>

#include <unistd.h>

void pfi_tls_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
		 const struct prefork_log_pair *pair, const char *format, ...)
{
	const struct pfi_worker_line line = { worker, level, "tls", event, pair, getpid() };
	va_list arguments;

	va_start(arguments, format);
	pfi_worker_line_write(&line, format, arguments);
	va_end(arguments);
}

void pfi_tls_arbiter_log(const struct prefork_arbiter *arbiter, enum prefork_log_level level, const char *event,
			 const char *format, ...)
{
	const struct prefork_log_pair pair = PREFORK_TEXT("event", event);
	char message[PFI_WORKER_LINE_MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	prefork_log_write(prefork_arbiter_log(arbiter), level, "tls", &pair, 1, "%s", message);
}
