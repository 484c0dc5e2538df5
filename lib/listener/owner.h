/*
 * owner -- the settings socket_user and socket_group: whose a unix path is.
 */
#ifndef LISTENER_OWNER_H
#define LISTENER_OWNER_H

#include <sys/types.h>

struct prefork_settings;

/* Who they are: a name, or a number; -1 where nothing is said. 0, or PREFORK_ECONFIG with a
 * error message. Asks the system's data bases, so in the arbiter only. */
int pfi_owner_read(const struct prefork_settings *settings, uid_t *ret_uid, gid_t *ret_gid);

#endif
