/* Converts the settings socket_user and socket_group to ids. */
#include "listener/owner.h"

#include "base/text.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "os/account.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <stddef.h>

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

	*ret_uid = (uid_t)-1;
	*ret_gid = (gid_t)-1;
	if (user != NULL && *user != '\0' && pfi_account_user(user, ret_uid, NULL, NULL) < 0)
		return unknown(settings, &values->socket_user, "user");
	if (group != NULL && *group != '\0' && pfi_account_group(group, ret_gid) < 0)
		return unknown(settings, &values->socket_group, "group");
	return 0;
}
