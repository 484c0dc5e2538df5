/*
 * statsd_target -- where the metrics of a process go: the address and the words of the settings statsd_host,
 * statsd_prefix, statsd_name and dogstatsd_tags; and sending them, which never blocks.
 *
 * There is a socket for the time of a call only: the application cannot close it, a process that it forks has none, and
 * a receiver that starts later, or again, gets what follows.
 */
#ifndef HTTP_STATSD_TARGET_H
#define HTTP_STATSD_TARGET_H

#include "http/statsd_text.h"

#include <stdbool.h>
#include <sys/socket.h>

struct pfi_http_settings;
struct prefork_log;
struct prefork_settings;

struct pfi_statsd_target {
	struct sockaddr_storage address;
	socklen_t size; /* 0: no metrics */
	struct pfi_statsd_words words;
};

/* Use once: pfi_statsd_begin(), pfi_statsd_add() and so on with `batch`, pfi_statsd_end(). */
struct pfi_statsd_sender {
	const struct pfi_statsd_target *target;
	int fd;
	int error; /* the first, a negative errno */
	struct pfi_statsd_batch batch;
};

/* The metrics for lines of the error log, as gunicorn has them. */
enum pfi_statsd_line { PFI_STATSD_WARNING, PFI_STATSD_ERROR, PFI_STATSD_CRITICAL, PFI_STATSD_EXCEPTION, PFI_STATSD_LINES };

/** Whether the settings can be used, in the arbiter; the library checks statsd_host. 0 or PREFORK_ECONFIG with an error
 *  message. */
int pfi_statsd_check(const struct prefork_settings *settings, const struct pfi_http_settings *values);

void pfi_statsd_begin(struct pfi_statsd_sender *sender, const struct pfi_statsd_target *target);

/** Send what is left. Returns the first error, a negative errno, or 0. */
int pfi_statsd_end(struct pfi_statsd_sender *sender);

/** The metric of a line that prefork_log_set_counter() reports; PFI_STATSD_LINES: none. */
enum pfi_statsd_line pfi_statsd_line_of(int level, bool is_block);

/** Add log.LEVEL, for each level that has lines. */
void pfi_statsd_add_lines(struct pfi_statsd_batch *batch, const unsigned counts[PFI_STATSD_LINES]);

#endif
