/*
 * date -- a moment as HTTP writes it (RFC 9110 5.6.7).
 *
 * Pure: the moment comes in as a number. No locale, no time zone, no lock.
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

/** The same moment as access logs write it, in a zone that is `offset_s` east of
 *  Greenwich: PFI_DATE_LOG_LENGTH bytes and no NUL. */
void pfi_date_format_log(uint64_t seconds, int offset_s, char *text);

/** The same as RFC 3339 writes it: PFI_DATE_ISO_LENGTH bytes and no NUL. */
void pfi_date_format_iso(uint64_t seconds, int offset_s, char *text);

/* The last date that was written: a busy server asks for the same one many
 * times a second. One per thread. */
struct pfi_date_cache {
	uint64_t seconds;
	char text[PFI_DATE_LENGTH];
};

/** The text of `seconds`, PFI_DATE_LENGTH bytes that stay until the next call.
 *  Start with a cache of zeroes. */
const char *pfi_date_cached(struct pfi_date_cache *cache, uint64_t seconds);

#endif
