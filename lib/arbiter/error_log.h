/*
 * arbiter/error_log.h -- the error log of an arbiter, as its settings say.
 */
#ifndef ARBITER_ERROR_LOG_H
#define ARBITER_ERROR_LOG_H

struct prefork_arbiter;
struct prefork_settings;

/* Opens /dev/null for standard descriptors that are closed, too. 0, or an error with its message. */
int pfi_error_log_open(struct prefork_arbiter *arbiter);

/* Apply only the log settings that differ between `from` and `to`: a level that the application has set itself stays. 0,
 * or an error with its message. */
int pfi_error_log_follow(struct prefork_arbiter *arbiter, const struct prefork_settings *from,
			 const struct prefork_settings *to);

/* Log files that this arbiter, as root, has created belong to the user of the workers, of the first pool that has one. */
void pfi_logs_give(const struct prefork_arbiter *arbiter);

#endif
