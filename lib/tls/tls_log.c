/* Writes the lines of this module in the error log. */
#include "tls/tls_log.h"

#include <prefork/arbiter.h>
#include <prefork/worker.h>

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_MAX = 1536 };

void pfi_tls_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
		 const struct prefork_log_pair *pair, const char *format, ...)
{
	struct prefork_log_pair pairs[] = {
		PREFORK_TEXT("event", event), PREFORK_TEXT("pool", prefork_worker_pool(worker)),
		PREFORK_NUMBER("slot", prefork_worker_slot(worker)), PREFORK_NUMBER("pid", getpid()),
		PREFORK_TEXT("", ""), /* `pair` */
	};
	char message[MESSAGE_MAX];
	va_list arguments;

	if (pair != NULL)
		pairs[4] = *pair;
	va_start(arguments, format);
	(void)vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	prefork_log_write(prefork_worker_log(worker), level, "tls", pairs, pair != NULL ? 5 : 4, "%s", message);
}

void pfi_tls_arbiter_log(const struct prefork_arbiter *arbiter, enum prefork_log_level level, const char *event,
			 const char *format, ...)
{
	const struct prefork_log_pair pair = PREFORK_TEXT("event", event);
	char message[MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	prefork_log_write(prefork_arbiter_log(arbiter), level, "tls", &pair, 1, "%s", message);
}
