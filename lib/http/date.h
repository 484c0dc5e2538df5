/*
 * date -- dates in the format of HTTP (RFC 9110 5.6.7) and of access logs.
 *
 * Pure: seconds since 1970 in, text out. No locale, no time zone, no lock.
 */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <stdint.h>

enum {
	PFI_DATE_LENGTH = 29,     /* Sun, 06 Nov 1994 08:49:37 GMT */
	PFI_DATE_LOG_LENGTH = 28, /* [06/Nov/1994:08:49:37 +0000]  */
	PFI_DATE_ISO_LENGTH = 25, /* 1994-11-06T08:49:37+00:00     */
};

/** Writes PFI_DATE_LENGTH bytes and no NUL. Seconds since 1970, up to the year 9999. */
void pfi_date_format(uint64_t seconds, char *text);

/** The format of access logs, in a zone `offset_s` seconds east of UTC. Writes PFI_DATE_LOG_LENGTH bytes
 *  and no NUL. */
void pfi_date_format_log(uint64_t seconds, int offset_s, char *text);

/** The format of RFC 3339. Writes PFI_DATE_ISO_LENGTH bytes and no NUL. */
void pfi_date_format_iso(uint64_t seconds, int offset_s, char *text);

/* The last date that was formatted: a busy server needs the same one many times per second. One per thread. */
struct pfi_date_cache {
	uint64_t seconds;
	char text[PFI_DATE_LENGTH];
};

/** Returns the text of `seconds`: PFI_DATE_LENGTH bytes, valid until the next call. The cache starts as zeroes. */
const char *pfi_date_cached(struct pfi_date_cache *cache, uint64_t seconds);

#endif
