/*
 * status -- status codes, their reason phrases, and which of them have no body. Pure.
 */
#ifndef HTTP_STATUS_H
#define HTTP_STATUS_H

#include <stdbool.h>
#include <stddef.h>

/** "HTTP/1.1 200 OK\r\n" for a registered status; NULL for any other. */
const char *pfi_status_line(int status, size_t *ret_length);

/** "OK"; "Unknown" for a status that is not registered. */
const char *pfi_status_reason(int status);

/** 1xx, 204 and 304 have no body. */
static inline bool pfi_status_bodiless(int status)
{
	return status < 200 || status == 204 || status == 304;
}

#endif
