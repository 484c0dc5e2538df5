/*
 * rate -- the least rate at which a client must send a body, or take a response.
 *
 * It is an average: a client that was faster may be slower later. Pure.
 */
#ifndef HTTP_RATE_H
#define HTTP_RATE_H

#include <stdint.h>

/** How long, in ms, the client may transfer nothing now, after `bytes` in `waited_ms` of waiting: at most
 *  `timeout_ms`, less if the average comes near `rate` (bytes per second), and 0 if it is below. A rate of 0
 *  sets no limit. */
uint64_t pfi_rate_timeout_ms(uint64_t timeout_ms, uint64_t rate, uint64_t bytes, uint64_t waited_ms);

#endif
