/*
 * http_clock -- the current time, for HTTP.
 */
#ifndef HTTP_HTTP_CLOCK_H
#define HTTP_HTTP_CLOCK_H

#include <stdint.h>

/** Now in the format of the field Date: PFI_DATE_LENGTH bytes in this thread's cache. */
const char *pfi_http_date(void);

/** Now, in microseconds of CLOCK_MONOTONIC. */
uint64_t pfi_http_now_us(void);

#endif
