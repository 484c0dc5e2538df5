/*
 * arbiter/log_lines.h -- the form of the arbiter's log lines: a message, then event=NAME and further pairs.
 */
#ifndef ARBITER_LOG_LINES_H
#define ARBITER_LOG_LINES_H

#include <prefork/log.h>

struct prefork_arbiter;
struct prefork_process;

/* The two arguments `pairs` and `count` of the functions below, from a list of PREFORK_TEXT() and PREFORK_NUMBER(). */
#define PFI_PAIRS(...)                                     \
	(const struct prefork_log_pair[]){ __VA_ARGS__ },  \
		sizeof((const struct prefork_log_pair[]){ __VA_ARGS__ }) / sizeof(struct prefork_log_pair)
#define PFI_NO_PAIRS NULL, 0

/* A line that is about no pool. Its pairs begin with event=EVENT; at most 8 of `pairs` follow. */
void pfi_arbiter_log(const struct prefork_arbiter *arbiter, enum prefork_log_level level, const char *event,
		     const struct prefork_log_pair *pairs, size_t count, const char *format, ...) PREFORK_PRINTF(6, 7);

/* A line about a pool. Its pairs begin with event=EVENT pool=NAME. */
void pfi_pool_log(const struct prefork_arbiter *arbiter, unsigned pool, enum prefork_log_level level, const char *event,
		  const struct prefork_log_pair *pairs, size_t count, const char *format, ...) PREFORK_PRINTF(7, 8);

/* A line about a worker. Its pairs begin with event=EVENT pool=NAME slot=N pid=N. */
void pfi_process_log(const struct prefork_process *process, enum prefork_log_level level, const char *event,
		     const struct prefork_log_pair *pairs, size_t count, const char *format, ...) PREFORK_PRINTF(6, 7);

#endif
