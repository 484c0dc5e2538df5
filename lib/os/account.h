/*
 * account -- users and groups of this machine, by name or number.
 *
 * getpwnam(3) and the like may ask a directory service, and block: at the start only. One thread.
 */
#ifndef OS_ACCOUNT_H
#define OS_ACCOUNT_H

#include <sys/types.h>

/* The id of a user, and its primary group in *ret_gid, (gid_t)-1 for a number without an account; and its name, new,
 * NULL then. Each of the last two may be NULL. 0, -ENOENT, or -ENOMEM. */
int pfi_account_user(const char *text, uid_t *ret_uid, gid_t *ret_gid, char **ret_name);

/* The id of a group. 0 or -ENOENT. */
int pfi_account_group(const char *text, gid_t *ret);

/* All groups of the user, `gid` among them. Returns new, and their number in *ret_count; NULL: no memory. */
gid_t *pfi_account_groups(const char *name, gid_t gid, int *ret_count);

#endif
