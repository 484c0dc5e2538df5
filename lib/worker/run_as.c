/* Converts the settings user, group and initgroups to ids. */
#include "worker/run_as.h"

#include "base/required.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "os/account.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <stdlib.h>

static bool is_given(const char *text)
{
	return text != NULL && *text != '\0';
}

static int read_ids(const struct prefork_settings *settings, struct pfi_credentials *ret, char **ret_name)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	int r = is_given(values->user) ? pfi_account_user(values->user, &ret->uid, &ret->gid, ret_name) : 0;

	if (r < 0)
		return r == -ENOMEM ? prefork_fail(r, "no memory for the name of a user") :
				      pfi_settings_no_account(settings, &values->user, "user");
	if (is_given(values->group) && pfi_account_group(values->group, &ret->gid) < 0)
		return pfi_settings_no_account(settings, &values->group, "group");
	if (ret->gid == (gid_t)-1)
		return prefork_fail(PREFORK_ECONFIG, "user (%s): %s has no account on this machine, so its group is not known: "
						     "set group, too",
				    pfi_settings_place(settings, &values->user), values->user);
	return 0;
}

/* Without initgroups the group alone: the supplementary groups of root are not for workers. */
static int read_groups(const struct prefork_settings *settings, const char *name, struct pfi_credentials *ret)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);

	if (values->initgroups && name == NULL)
		return prefork_fail(PREFORK_ECONFIG, "initgroups (%s) needs a user that has an account (user)",
				    pfi_settings_place(settings, &values->initgroups));
	if (values->initgroups) {
		ret->groups = pfi_account_groups(name, ret->gid, &ret->group_count);
	} else if ((ret->groups = malloc(sizeof *ret->groups)) != NULL) {
		ret->groups[0] = ret->gid;
		ret->group_count = 1;
	}
	return ret->groups != NULL ? 0 : prefork_fail(-ENOMEM, "no memory for the groups of a user");
}

int pfi_run_as_read(const struct prefork_settings *settings, struct pfi_credentials *ret)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	char *name = NULL;
	int r;

	*ret = (struct pfi_credentials){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (!is_given(values->user) && !is_given(values->group))
		return 0;
	r = read_ids(settings, ret, &name);
	if (r == 0)
		r = read_groups(settings, name, ret);
	free(name);
	ret->is_set = r == 0;
	return r;
}

int prefork_settings_run_as(const struct prefork_settings *settings)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);

	struct pfi_credentials credentials;
	int r = pfi_run_as_read(settings, &credentials);

	if (r == 0)
		r = pfi_credentials_take(&credentials);
	pfi_credentials_finish(&credentials);
	return r;
}
