/* Converts the settings socket_user and socket_group to ids. */
#include "listener/owner.h"

#include "model/library_options.h"
#include "model/settings.h"
#include "os/account.h"

#include <prefork/settings.h>

#include <stddef.h>

int pfi_owner_read(const struct prefork_settings *settings, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	const char *const user = values->socket_user, *const group = values->socket_group;

	*ret_uid = (uid_t)-1;
	*ret_gid = (gid_t)-1;
	if (user != NULL && *user != '\0' && pfi_account_user(user, ret_uid, NULL, NULL) < 0)
		return pfi_settings_no_account(settings, &values->socket_user, "user");
	if (group != NULL && *group != '\0' && pfi_account_group(group, ret_gid) < 0)
		return pfi_settings_no_account(settings, &values->socket_group, "group");
	return 0;
}
