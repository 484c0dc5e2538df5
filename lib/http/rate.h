/*
 * rate -- the least speed at which a client must send a body, or take a response.
 *
 * On average: a client that was fast may be slow for as long as that has gained.
 */
#ifndef HTTP_RATE_H
#define HTTP_RATE_H

#include <stdint.h>

/** How long, in ms, the client may move nothing now, when it has moved `bytes` and was waited for
 *  `waited_ms` for that: at most `timeout_ms`, less near the end of what `rate` (bytes per second) allows,
 *  and 0 beyond it. A rate of 0 is none. */
uint64_t pfi_rate_timeout_ms(uint64_t timeout_ms, uint64_t rate, uint64_t bytes, uint64_t waited_ms);

#endif
