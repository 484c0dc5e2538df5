/*
 * arbiter/upgrade_refusal.h -- why a request for an upgrade is refused.
 */
#ifndef ARBITER_UPGRADE_REFUSAL_H
#define ARBITER_UPGRADE_REFUSAL_H

#include <stddef.h>

struct prefork_arbiter;

/* Why no upgrade can start now, or NULL. The text may be in `buffer`. */
const char *pfi_upgrade_refusal(const struct prefork_arbiter *arbiter, char *buffer, size_t size);

#endif
