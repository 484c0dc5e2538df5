/* Writes the arbiter's log lines: a message, then event=NAME, and the pool, slot and pid that it is about. */
#include "arbiter/log_lines.h"

#include "arbiter/arbiter.h"

#include <stdarg.h>
#include <stdio.h>

enum { OWN_MAX = 4, MORE_MAX = 8, MESSAGE_MAX = 2048 };

struct log_line {
	struct prefork_log_pair pairs[OWN_MAX + MORE_MAX];
	size_t count;
};

static void add(struct log_line *line, const struct prefork_log_pair *pairs, size_t count)
{
	for (size_t i = 0; i < count && line->count < OWN_MAX + MORE_MAX; i++)
		line->pairs[line->count++] = pairs[i];
}

static void write_line(struct prefork_log *log, enum prefork_log_level level, const struct log_line *line,
		       const char *format, va_list arguments)
{
	char message[MESSAGE_MAX];

	(void)vsnprintf(message, sizeof message, format, arguments);
	prefork_log_write(log, level, "arbiter", line->pairs, line->count, "%s", message);
}

void pfi_arbiter_log(const struct prefork_arbiter *arbiter, enum prefork_log_level level, const char *event,
		     const struct prefork_log_pair *pairs, size_t count, const char *format, ...)
{
	struct log_line line = { .pairs = { PREFORK_TEXT("event", event) }, .count = 1 };
	va_list arguments;

	add(&line, pairs, count);
	va_start(arguments, format);
	write_line(arbiter->log, level, &line, format, arguments);
	va_end(arguments);
}

void pfi_pool_log(const struct prefork_arbiter *arbiter, unsigned pool, enum prefork_log_level level, const char *event,
		  const struct prefork_log_pair *pairs, size_t count, const char *format, ...)
{
	struct log_line line = { .pairs = { PREFORK_TEXT("event", event),
					PREFORK_TEXT("pool", arbiter->pools[pool].name) }, .count = 2 };
	va_list arguments;

	add(&line, pairs, count);
	va_start(arguments, format);
	write_line(arbiter->log, level, &line, format, arguments);
	va_end(arguments);
}

void pfi_process_log(const struct prefork_process *process, enum prefork_log_level level, const char *event,
		     const struct prefork_log_pair *pairs, size_t count, const char *format, ...)
{
	struct log_line line = { .pairs = { PREFORK_TEXT("event", event),
					PREFORK_TEXT("pool", process->arbiter->pools[process->pool].name),
					PREFORK_NUMBER("slot", process->slot), PREFORK_NUMBER("pid", process->pid) },
			     .count = 4 };
	va_list arguments;

	add(&line, pairs, count);
	va_start(arguments, format);
	write_line(process->arbiter->log, level, &line, format, arguments);
	va_end(arguments);
}
