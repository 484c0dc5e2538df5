/*
 * base/worker_line.h -- the form of a line that a module of libprefork writes in the error log of a worker: a message,
 * then event=EVENT pool=NAME slot=N pid=N, and one more pair if there is one.
 *
 * A header, since libprefork-http and libprefork-tls are libraries of their own. Any thread of the worker.
 */
#ifndef PFI_BASE_WORKER_LINE_H
#define PFI_BASE_WORKER_LINE_H

#include <prefork/log.h>
#include <prefork/worker.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A longer message, such as one with the target of a request, is truncated, so that the pairs fit into the line. */
enum { PFI_WORKER_LINE_MESSAGE_MAX = 2048 };

struct pfi_worker_line {
	const struct prefork_worker *worker;
	enum prefork_log_level level;
	const char *module, *event;
	const struct prefork_log_pair *pair; /* follows the others; NULL: none */
	int64_t pid;
};

__attribute__((format(printf, 2, 0))) static inline void pfi_worker_line_write(const struct pfi_worker_line *line,
									       const char *format, va_list arguments)
{
	struct prefork_log_pair pairs[] = {
		PREFORK_TEXT("event", line->event), PREFORK_TEXT("pool", prefork_worker_pool(line->worker)),
		PREFORK_NUMBER("slot", prefork_worker_slot(line->worker)), PREFORK_NUMBER("pid", line->pid),
		PREFORK_TEXT("", ""), /* `pair` */
	};
	char message[PFI_WORKER_LINE_MESSAGE_MAX];

	if (line->pair != NULL)
		pairs[4] = *line->pair;
	(void)vsnprintf(message, sizeof message, format, arguments);
	prefork_log_write(prefork_worker_log(line->worker), line->level, line->module, pairs, line->pair != NULL ? 5 : 4, "%s",
			  message);
}

#endif
