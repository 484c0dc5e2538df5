/*
 * Releases are often directories beside each other, with a symbolic link, `current`, to the one in use. A shell that
 * starts the server there has the name of the link in PWD, while getcwd(3) resolves the link. A reload resolves
 * the name again, so that its workers start in the release of that moment.
 *
 * The working directory of this process belongs to the application and stays: each worker changes into the directory of
 * its generation.
 */
#include "arbiter/directory.h"

#include "arbiter/arbiter.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/path.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int pfi_directory_record(struct prefork_arbiter *arbiter)
{
	free(arbiter->directory.name);
	arbiter->directory.name = NULL;
	if (stat(".", &arbiter->directory.status) < 0)
		return 0;
	arbiter->directory.name = pfi_path_working_directory();
	/* A directory that was removed has no name: its workers start in it as long as it is open. */
	return arbiter->directory.name == NULL && errno == ENOMEM
		       ? prefork_fail(-ENOMEM, "out of memory for the name of the working directory")
		       : 0;
}

void pfi_directory_free(struct prefork_arbiter *arbiter)
{
	free(arbiter->directory.name);
}

/* A descriptor, or a negative errno. */
static int open_by_name(const struct prefork_arbiter *arbiter)
{
	pfi_fdtable_begin();
	const int fd = pfi_fdtable_enter(open(arbiter->directory.name, O_PATH | O_DIRECTORY | O_CLOEXEC), PFI_FD_PATH);
	pfi_fdtable_end();
	return fd;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

void pfi_directory_resolve(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	const char *const name = arbiter->directory.name;
	struct stat now, then;
	int fd;

	if (name == NULL || stat(".", &now) < 0 || !is_same(&now, &arbiter->directory.status))
		return; /* the application has called chdir(2) since the start: its choice holds */
	fd = open_by_name(arbiter);
	if (fd < 0) {
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "directory_missing", PFI_NO_PAIRS,
				"The working directory %s cannot be opened again (%s): new workers start in the old one%s",
				name, strerror(-fd), now.st_nlink == 0 ? ", which was removed" : "");
		return;
	}
	if (fstat(fd, &then) == 0 && !is_same(&now, &then))
		pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "directory_changed", PFI_NO_PAIRS,
				"The working directory %s is another one than at the start: new workers start there", name);
	pfi_fdtable_set_owner(fd, arbiter->id, PFI_FD_NO_SLOT);
	generation->directory_fd = fd;
}

/* In a removed directory an application can load nothing: without this its workers would fail until the next reload. */
void pfi_directory_check(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	struct stat status;
	int fd;

	if (arbiter->directory.name == NULL || generation->logged_removed ||
	    (generation->directory_fd > 0 ? fstat(generation->directory_fd, &status) : stat(".", &status)) < 0 ||
	    status.st_nlink > 0)
		return;
	generation->logged_removed = true;
	fd = open_by_name(arbiter);
	pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "directory_removed",
			PFI_PAIRS(PREFORK_NUMBER("generation", generation->number)),
			"The working directory of generation %u was removed: %s%s", (unsigned)generation->number,
			fd < 0 ? "its workers may fail to load the application, and there is no " :
				 "its next workers start in the directory that has the name now, ",
			arbiter->directory.name);
	if (fd < 0)
		return;
	pfi_fdtable_set_owner(fd, arbiter->id, PFI_FD_NO_SLOT);
	if (generation->directory_fd > 0)
		pfi_close(&generation->directory_fd);
	generation->directory_fd = fd;
}
