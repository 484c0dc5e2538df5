/*
 * arbiter/error_log.h -- the error log of an arbiter, as its settings say.
 */
#ifndef ARBITER_ERROR_LOG_H
#define ARBITER_ERROR_LOG_H

struct prefork_arbiter;

/* Opens /dev/null for standard descriptors that are closed, too. 0, or an error with its message. */
int pfi_error_log_open(struct prefork_arbiter *arbiter);

/* Log files that this arbiter, as root, has created belong to the user of the workers, of the first pool that has one. */
void pfi_logs_give(const struct prefork_arbiter *arbiter);

#endif
