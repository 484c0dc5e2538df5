/*
 * access -- the access log of one worker: one line per response, one write(2) per line, which
 * never waits. Lines that cannot be written are counted, and the count is logged.
 */
#ifndef HTTP_ACCESS_H
#define HTTP_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pfi_access;
struct prefork_log;
struct prefork_request;
struct pfi_http_settings;
struct prefork_settings;
struct prefork_worker;

/* The response of a line. */
struct pfi_access_response {
	int status;
	uint64_t sent; /* bytes of the body */
	const char *head;
	size_t head_length;
	uint64_t took_us; /* since the complete head of the request; 0: it had none */
};

/** Whether accesslog and access_log_format can be used, in the arbiter. 0, or a
 *  negative errno with an error message. `values` are those of `settings`. */
int pfi_access_check(const struct prefork_settings *settings, const struct pfi_http_settings *values);

/** Seconds that local time is east of UTC, now. localtime_r(3) takes a lock of the C library, which another thread
 *  of the application may hold at the moment of a fork: so call it before the fork, in the parent. */
int pfi_access_zone_s(void);

/** Open the log that the settings name, or take the one that was inherited, NULL: none. Returns *new* in `*ret`, or NULL
 *  there when they name none, and the application has not asked for lines (callback `access`). 0, or a negative errno with
 *  an error message. */
int pfi_access_open(const struct pfi_http_settings *values, int zone_s, struct prefork_log *inherited, bool is_asked_for,
                    struct pfi_access **ret);

/** Log how many lines were lost, and close. NULL is a no-op. */
void pfi_access_close(struct pfi_access *access, struct prefork_worker *worker);

/** Open the file again after a log rotation. NULL is a no-op. */
void pfi_access_reopen(struct pfi_access *access, struct prefork_worker *worker);

/** Write one line. Any thread. */
void pfi_access_write(struct pfi_access *access, struct prefork_request *request, const struct pfi_access_response *response);

#endif
