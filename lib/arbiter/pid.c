/* Creates the pid file at the start, and removes it at the end. */
#include "arbiter/pid.h"

#include "arbiter/arbiter.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "os/fdtable.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pfi_pid_open(struct prefork_arbiter *arbiter, const char *suffix)
{
	const char *const name = pfi_library_settings(arbiter->initial)->pidfile;
	char *path = NULL;
	int r;

	if (name == NULL || *name == '\0')
		return 0;
	if (asprintf(&path, "%s%s", name, suffix) < 0)
		return prefork_fail(-ENOMEM, "no memory for the name of a pid file");
	r = pfi_pidfile_create(&arbiter->pidfile, path);
	free(path);
	if (r == 0) {
		arbiter->pidfile_suffix = strlen(suffix);
		pfi_fdtable_set_owner(arbiter->pidfile.fd, arbiter->id, PFI_FD_NO_SLOT);
	}
	return r;
}

int pfi_pid_take_name(struct prefork_arbiter *arbiter)
{
	struct pfi_pidfile *const pidfile = &arbiter->pidfile;
	char *name;
	int r;

	if (pidfile->fd < 0 || arbiter->pidfile_suffix == 0)
		return 0;
	name = strndup(pidfile->path, strlen(pidfile->path) - arbiter->pidfile_suffix);
	if (name == NULL)
		return prefork_fail(-ENOMEM, "no memory for the name of a pid file");
	r = pfi_pidfile_rename(pidfile, name);
	free(name);
	if (r == 0)
		arbiter->pidfile_suffix = 0;
	return r;
}

int pfi_pid_remove_next(const struct prefork_arbiter *arbiter)
{
	char *path = NULL;
	int r;

	if (arbiter->pidfile.fd < 0 || arbiter->pidfile_suffix != 0 ||
	    asprintf(&path, "%s" PFI_PID_NEXT, arbiter->pidfile.path) < 0)
		return 0;
	r = pfi_pidfile_remove_stale(path);
	free(path);
	return r;
}

void pfi_pid_close(struct prefork_arbiter *arbiter)
{
	if (arbiter->upgrade.leaves_pidfile)
		(void)pfi_pid_remove_next(arbiter);
	pfi_pidfile_remove(&arbiter->pidfile);
}
