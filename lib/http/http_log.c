/* Writes the lines of this module in the error log. */
#include "http/http_log.h"

#include <prefork/worker.h>

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_MAX = 2048 }; /* a longer request target is truncated, so that the pairs fit into the line */

void pfi_http_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
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
	prefork_log_write(prefork_worker_log(worker), level, "http", pairs, pair != NULL ? 5 : 4, "%s", message);
}
