/*
 * arbiter/listener_options.h -- the options with which a listener is opened, from the settings and the services that use
 * the listener.
 */
#ifndef ARBITER_LISTENER_OPTIONS_H
#define ARBITER_LISTENER_OPTIONS_H

#include "arbiter/generation_table.h"
#include "listener/listener.h"

/* Look up the owners of unix sockets (socket_user, socket_group), which may wait for a directory service: at the start
 * only, so a reload cannot change them. 0, or PREFORK_ECONFIG with an error message. */
int pfi_listener_owners_read(struct prefork_arbiter *arbiter, const struct pfi_generation *generation);

/* The options for the address `text` of bind in `pool`. */
void pfi_listener_options_read(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
			       unsigned pool, const char *text, struct pfi_listener_options *ret);

#endif
