/*
 * binds -- check the setting bind: every item is an address, and none is there twice; and the addresses of other programs.
 */
#ifndef LISTENER_BINDS_H
#define LISTENER_BINDS_H

#include <stddef.h>

struct prefork_settings;

/* Check the texts only: opens nothing and asks no name server. 0, or PREFORK_ECONFIG with an error message that names
 * the item and where it was set. */
int pfi_binds_check(const struct prefork_settings *settings);

/* The same for rows with PREFORK_OPTION_ADDRESS: whether each value is the address of another program. */
int pfi_peers_check(const struct prefork_settings *settings);

/* For --check-config: whether the addresses could be bound. Asks name servers; opens nothing that another process could
 * notice. Descriptors (fd://3) are not checked, they are there at the start only. As pfi_listener_try(). */
int pfi_binds_try(const struct prefork_settings *settings);

#endif
