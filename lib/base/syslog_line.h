/*
 * base/syslog_line.h -- a line for syslog, in the form that /dev/log expects (RFC 3164, section 4.1):
 *
 *     <PRI>Mmm dd hh:mm:ss [HOST ]IDENTITY[PID]: message
 *
 * Pure.
 */
#ifndef PFI_BASE_SYSLOG_LINE_H
#define PFI_BASE_SYSLOG_LINE_H

#include <stddef.h>
#include <stdint.h>

/* What every receiver accepts (RFC 5424, section 6.1). A longer line is cut, and ends with "...". */
enum { PFI_SYSLOG_LINE_MAX = 2048 };

struct pfi_syslog_line {
	int facility;     /* pfi_syslog_facility()                             */
	int level;        /* enum prefork_log_level                            */
	int64_t local_s;  /* seconds since 1970, shifted to the local time zone */
	const char *host; /* NULL: the receiver is on this machine             */
	const char *identity;
	int pid;
};

/* The number of the facility with this name ("user", "daemon", "local0"), also with "LOG_" before it, in any case;
 * -1: there is none. */
int pfi_syslog_facility(const char *name);

/* Returns the number of bytes. */
size_t pfi_syslog_format(char bytes[PFI_SYSLOG_LINE_MAX], const struct pfi_syslog_line *line, const char *message,
			 size_t length);

#endif
