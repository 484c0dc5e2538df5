/*
 * log -- what the library needs of <prefork/log.h> and hosts do not.
 */
#ifndef OS_LOG_H
#define OS_LOG_H

struct prefork_log;

/* Where the lines go, for those who may not call anything else: a signal handler
 * that writes exit message, a child that closes all other descriptors. Standard error for
 * NULL. Borrowed. */
int pfi_log_fd(const struct prefork_log *log);

/* Write to another file from now on; arguments as prefork_log_create(). 0, or a
 * negative errno with an error message, and then it stays with the old one. */
int pfi_log_move(struct prefork_log *log, const char *path, int standard_fd);

#endif
