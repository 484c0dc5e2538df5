/*
 * log -- functions of the log that are not public (<prefork/log.h>).
 */
#ifndef OS_LOG_H
#define OS_LOG_H

#include <prefork/log.h>

#include <stdbool.h>

/* The descriptor of the log, for code that may not call the other functions: a signal handler, or a child that closes
 * all other descriptors. Standard error if `log` is NULL. Borrowed. */
int pfi_log_fd(const struct prefork_log *log);

/* Continue in another file; the arguments of prefork_log_create(). 0; a negative errno with an error message, and the
 * log stays with the old file. */
int pfi_log_move(struct prefork_log *log, const char *path, int standard_fd);

/* Drop lines below `level`, unless the application has set one by prefork_log_set_level(). */
void pfi_log_follow_level(struct prefork_log *log, enum prefork_log_level level);

/* Whether the log is a standard stream ("-"). */
bool pfi_log_is_standard(const struct prefork_log *log);

#endif
