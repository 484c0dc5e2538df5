/*
 * owner -- the settings socket_user and socket_group: user and group of a unix socket's path.
 */
#ifndef LISTENER_OWNER_H
#define LISTENER_OWNER_H

#include <sys/types.h>

struct prefork_settings;

/* Convert both settings to ids: each is a name or a number; -1: not set. 0, or PREFORK_ECONFIG with an error message.
 * Calls getpwnam(3), which may block: in the arbiter only, at the start. */
int pfi_owner_read(const struct prefork_settings *settings, uid_t *ret_uid, gid_t *ret_gid);

#endif
