/*
 * owner -- the settings socket_user and socket_group: user and group of a unix socket's path.
 */
#ifndef LISTENER_OWNER_H
#define LISTENER_OWNER_H

#include <sys/types.h>

struct prefork_settings;

/* Their ids: each setting is a name or a number; -1 if it is not set. 0, or PREFORK_ECONFIG with an error message.
 * Looks names up with getpwnam(3), which may block: in the arbiter only, at the start. */
int pfi_owner_read(const struct prefork_settings *settings, uid_t *ret_uid, gid_t *ret_gid);

#endif
