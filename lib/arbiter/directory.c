/*
 * Releases are often directories beside each other, and a symbolic link, `current`, that names the one
 * in use. Whoever starts the server in there says the link's name in PWD; the kernel keeps the directory
 * alone. A reload looks the name up again, so that its workers start in the release of that moment.
 *
 * The working directory of this process is the application's and stays what it is: each worker of a
 * generation goes into the directory that the generation has.
 */
#include "arbiter/arbiter.h"

#include "os/fd.h"
#include "os/fdtable.h"
#include "os/path.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void pfi_directory_remember(struct prefork_arbiter *arbiter)
{
	free(arbiter->directory.name);
	arbiter->directory.name = stat(".", &arbiter->directory.status) == 0 ? pfi_path_working_directory() : NULL;
}

/* By the name: a descriptor, or a negative errno. */
static int open_again(const struct prefork_arbiter *arbiter)
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

void pfi_directory_follow(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	struct stat now, then;
	int fd;

	if (arbiter->directory.name == NULL || stat(".", &now) < 0 || !is_same(&now, &arbiter->directory.status))
		return; /* the application has gone elsewhere since the start: that counts */
	fd = open_again(arbiter);
	if (fd < 0) {
		prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter",
				"The working directory %s cannot be found again (%s): new workers start in the old one%s",
				arbiter->directory.name, strerror(-fd), now.st_nlink == 0 ? ", which was removed" : "");
		return;
	}
	if (fstat(fd, &then) == 0 && !is_same(&now, &then))
		prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter",
				"The working directory %s is another one than at the start: new workers start there",
				arbiter->directory.name);
	pfi_fdtable_set_owner(fd, arbiter->id, PFI_FD_NO_SLOT);
	generation->directory_fd = fd;
}

/* A generation whose directory was removed could load nothing any more. */
void pfi_directory_check(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	struct stat status;
	int fd;

	if (arbiter->directory.name == NULL || generation->lost_directory ||
	    (generation->directory_fd > 0 ? fstat(generation->directory_fd, &status) : stat(".", &status)) < 0 ||
	    status.st_nlink > 0)
		return;
	generation->lost_directory = true;
	fd = open_again(arbiter);
	prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter",
			"The working directory of generation %u was removed: %s%s", (unsigned)generation->number,
			fd < 0 ? "its workers may not load any more, and there is no " :
				 "its next workers start in what has the name now, ",
			arbiter->directory.name);
	if (fd < 0)
		return;
	pfi_fdtable_set_owner(fd, arbiter->id, PFI_FD_NO_SLOT);
	if (generation->directory_fd > 0)
		pfi_close(&generation->directory_fd);
	generation->directory_fd = fd;
}
