/* Changes user and groups of the process for good, and makes sure that it cannot change back. */
#include "os/credentials.h"

#include <prefork/error.h>

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void pfi_credentials_finish(struct pfi_credentials *credentials)
{
	free(credentials->groups);
	*credentials = (struct pfi_credentials){ 0 };
}

/* A program that was started as that user has nothing to change, and may not. */
static bool has_them(const struct pfi_credentials *wanted)
{
	uid_t uid, effective_uid, saved_uid;
	gid_t gid, effective_gid, saved_gid;

	if (getresuid(&uid, &effective_uid, &saved_uid) < 0 || getresgid(&gid, &effective_gid, &saved_gid) < 0 ||
	    effective_uid == 0)
		return false;
	return (wanted->uid == (uid_t)-1 || (uid == wanted->uid && effective_uid == uid && saved_uid == uid)) &&
	       (wanted->gid == (gid_t)-1 || (gid == wanted->gid && effective_gid == gid && saved_gid == gid));
}

static int failed(const char *what, long id)
{
	const int error = errno;

	return prefork_fail(-error, "cannot run as %s %ld: %s%s", what, id, strerror(error),
			    error == EPERM ? "; only root can change user and group" : "");
}

int pfi_credentials_take(const struct pfi_credentials *credentials)
{
	const uid_t uid = credentials->uid;
	const gid_t gid = credentials->gid;

	if (!credentials->is_set || has_them(credentials))
		return 0;
	if (gid != (gid_t)-1 && (setgroups((size_t)credentials->group_count, credentials->groups) < 0 ||
				 setresgid(gid, gid, gid) < 0))
		return failed("group", (long)gid);
	if (uid != (uid_t)-1 && setresuid(uid, uid, uid) < 0)
		return failed("user", (long)uid);
	if (uid != (uid_t)-1 && uid != 0 && setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
		return prefork_fail(-EPERM, "user %ld could become root again", (long)uid);
	(void)prctl(PR_SET_DUMPABLE, 1);
	return 0;
}
