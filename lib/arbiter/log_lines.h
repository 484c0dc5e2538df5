/*
 * arbiter/log_lines.h -- the form of the arbiter's log lines: a message, then event=NAME and further pairs.
 */
#ifndef ARBITER_LOG_LINES_H
#define ARBITER_LOG_LINES_H

#include <prefork/log.h>

struct prefork_arbiter;
struct prefork_process;

/* Two arguments: the pairs of a line beyond those that its function adds. */
#define PFI_PAIRS(...)                                     \
	(const struct prefork_log_pair[]){ __VA_ARGS__ },  \
		sizeof((const struct prefork_log_pair[]){ __VA_ARGS__ }) / sizeof(struct prefork_log_pair)
#define PFI_NO_PAIRS NULL, 0

/* At most 4 pairs beyond: event=EVENT. */
void pfi_arbiter_log(const struct prefork_arbiter *arbiter, enum prefork_log_level level, const char *event,
		     const struct prefork_log_pair *pairs, size_t count, const char *format, ...) PREFORK_PRINTF(6, 7);

/* event=EVENT pool=NAME */
void pfi_pool_log(const struct prefork_arbiter *arbiter, unsigned pool, enum prefork_log_level level, const char *event,
		  const struct prefork_log_pair *pairs, size_t count, const char *format, ...) PREFORK_PRINTF(7, 8);

/* event=EVENT pool=NAME slot=N pid=N */
void pfi_process_log(const struct prefork_process *process, enum prefork_log_level level, const char *event,
		     const struct prefork_log_pair *pairs, size_t count, const char *format, ...) PREFORK_PRINTF(6, 7);

#endif
