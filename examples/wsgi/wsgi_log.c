/* Writes the lines of prefork-wsgi in the error log. */
#include "wsgi_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_MAX = 2048 }; /* a longer request target is truncated, so that the pairs fit into the line */

static struct prefork_log *current_log;
static const char *current_pool; /* NULL: the arbiter */
static unsigned current_slot;

void wsgi_log_prepare(struct prefork_log *log, const char *pool, unsigned slot)
{
	current_log = log;
	current_pool = pool;
	current_slot = slot;
}

unsigned wsgi_log_slot(void)
{
	return current_slot;
}

bool wsgi_log_is_open(void)
{
	return current_log != NULL;
}

void wsgi_log(enum prefork_log_level level, const char *event, const char *format, ...)
{
	const struct prefork_log_pair pairs[] = {
		PREFORK_TEXT("event", event), PREFORK_TEXT("pool", current_pool),
		PREFORK_NUMBER("slot", current_slot), PREFORK_NUMBER("pid", getpid()),
	};
	char message[MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	prefork_log_write(current_log, level, "wsgi", pairs, current_pool ? 4 : 1, "%s", message);
}

/* prefork_log_block() takes no pairs: they are part of the title. A pool of this program has a name without blanks. */
void wsgi_log_block(enum prefork_log_level level, const char *event, const char *text, size_t size, const char *format, ...)
{
	char message[MESSAGE_MAX], title[MESSAGE_MAX + 256];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	if (current_pool)
		(void)snprintf(title, sizeof title, "%s event=%s pool=%s slot=%u pid=%d", message, event, current_pool,
		               current_slot, (int)getpid());
	else
		(void)snprintf(title, sizeof title, "%s event=%s", message, event);
	prefork_log_block(current_log, level, "wsgi", title, text, size);
}
