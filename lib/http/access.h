/*
 * access -- the access log of one worker: one line per answer, one write(2) per
 * line, never a wait. What cannot be written is counted and told in the log.
 */
#ifndef HTTP_ACCESS_H
#define HTTP_ACCESS_H

#include <stddef.h>
#include <stdint.h>

struct pfi_access;
struct prefork_request;
struct pfi_http_settings;
struct prefork_settings;
struct prefork_worker;

/* What the client was told. */
struct pfi_access_response {
	int status;
	uint64_t sent; /* bytes of the body */
	const char *head;
	size_t head_length;
};

/** Whether accesslog and access_log_format can be used, in the arbiter. 0, or a
 *  negative errno with an error message. `values` are those of `settings`. */
int pfi_access_check(const struct prefork_settings *settings, const struct pfi_http_settings *values);

/** How far this machine's time is east of Greenwich, now. Takes a lock of the C library's,
 *  so ask before the fork: another thread of the host's may hold it at that moment. */
int pfi_access_zone_s(void);

/** Open the log that the settings name. Returns *new* in `*ret`, or NULL there when they
 *  name none. 0, or a negative errno with an error message. */
int pfi_access_open(const struct pfi_http_settings *values, int zone_s, struct pfi_access **ret);

/** Tell what was lost and close. NULL is fine. */
void pfi_access_close(struct pfi_access *access, struct prefork_worker *worker);

/** As after a rotation. NULL is fine. */
void pfi_access_reopen(struct pfi_access *access, struct prefork_worker *worker);

/** One line. Any thread. */
void pfi_access_write(struct pfi_access *access, struct prefork_request *request, const struct pfi_access_response *answer);

#endif
