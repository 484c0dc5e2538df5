/* Converts the settings socket_user and socket_group to ids. */
#include "listener/owner.h"

#include "base/number.h"
#include "base/text.h"
#include "model/library_options.h"
#include "model/settings.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>

/* UINT32_MAX is -1: chown(2) does not change the owner then. */
static bool is_id(const char *text, int64_t *ret)
{
	return pfi_parse_whole(text, ret) == 0 && *ret >= 0 && *ret < (int64_t)UINT32_MAX;
}

static int unknown(const struct prefork_settings *settings, const char *const *member, const char *kind)
{
	char bytes[128];
	struct pfi_text quoted;

	pfi_text_init(&quoted, bytes, sizeof bytes);
	pfi_text_add_quoted(&quoted, *member);
	return prefork_fail(PREFORK_ECONFIG, "socket_%s (%s): there is no %s %s on this machine", kind,
			    pfi_settings_place(settings, member), kind, bytes);
}

int pfi_owner_read(const struct prefork_settings *settings, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	const char *const user = values->socket_user, *const group = values->socket_group;
	const struct passwd *account;
	const struct group *members;
	int64_t number;

	*ret_uid = (uid_t)-1;
	*ret_gid = (gid_t)-1;
	if (user != NULL && *user != '\0') {
		if ((account = getpwnam(user)) != NULL)
			*ret_uid = account->pw_uid;
		else if (is_id(user, &number))
			*ret_uid = (uid_t)number;
		else
			return unknown(settings, &values->socket_user, "user");
	}
	if (group != NULL && *group != '\0') {
		if ((members = getgrnam(group)) != NULL)
			*ret_gid = members->gr_gid;
		else if (is_id(group, &number))
			*ret_gid = (gid_t)number;
		else
			return unknown(settings, &values->socket_group, "group");
	}
	return 0;
}
