/* Finds users and groups by name or number in the databases of the C library (NSS). */
#include "os/account.h"

#include "base/number.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* UINT32_MAX is -1: chown(2) and setresuid(2) change nothing then. */
static bool is_id(const char *text, int64_t *ret)
{
	return pfi_parse_whole(text, ret) == 0 && *ret >= 0 && *ret < (int64_t)UINT32_MAX;
}

int pfi_account_user(const char *text, uid_t *ret_uid, gid_t *ret_gid, char **ret_name)
{
	const struct passwd *account = getpwnam(text);
	int64_t number = 0;

	if (account == NULL && !is_id(text, &number))
		return -ENOENT;
	if (account == NULL)
		account = getpwuid((uid_t)number);
	if (ret_name != NULL)
		*ret_name = account != NULL ? strdup(account->pw_name) : NULL;
	if (ret_name != NULL && account != NULL && *ret_name == NULL)
		return -ENOMEM;
	*ret_uid = account != NULL ? account->pw_uid : (uid_t)number;
	if (ret_gid != NULL)
		*ret_gid = account != NULL ? account->pw_gid : (gid_t)-1;
	return 0;
}

int pfi_account_group(const char *text, gid_t *ret)
{
	const struct group *const group = getgrnam(text);
	int64_t number = 0;

	if (group == NULL && !is_id(text, &number))
		return -ENOENT;
	*ret = group != NULL ? group->gr_gid : (gid_t)number;
	return 0;
}

gid_t *pfi_account_groups(const char *name, gid_t gid, int *ret_count)
{
	gid_t *groups = NULL;
	int count = 16;

	for (;;) {
		gid_t *const more = realloc(groups, (size_t)count * sizeof *groups);
		const int before = count;

		if (more == NULL) {
			free(groups);
			return NULL;
		}
		groups = more;
		if (getgrouplist(name, gid, groups, &count) >= 0)
			break;
		if (count <= before)
			count = before * 2;
	}
	*ret_count = count;
	return groups;
}
