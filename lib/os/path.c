/* Explains why a path cannot be opened or created, and finds the name of the working directory. */
#include "os/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	int error;
	const char *why;
} whys[] = {
	{ ENOENT, "its directory does not exist" },
	{ ENOTDIR, "a part of its path is not a directory" },
	{ EISDIR, "it is a directory" },
	{ ENXIO, "the pipe has no reader; or it is a socket, as /dev/stdout may be: use - for that" },
	{ EROFS, "the file system is read-only" },
	{ ENOSPC, "the disk is full" },
	{ EDQUOT, "the disk quota is exceeded" },
};

const char *pfi_path_why(int error, char why[PFI_PATH_WHY_MAX])
{
	const char *text = strerror(-error);

	for (size_t i = 0; i < sizeof whys / sizeof whys[0]; i++) {
		if (whys[i].error == -error)
			text = whys[i].why;
	}
	if (error == -EACCES || error == -EPERM)
		(void)snprintf(why, PFI_PATH_WHY_MAX, "permission denied for user id %u, as which this process runs",
			       (unsigned)geteuid());
	else
		(void)snprintf(why, PFI_PATH_WHY_MAX, "%s", text);
	return why;
}

int pfi_path_may_make(const char *path)
{
	const char *const slash = strrchr(path, '/');
	const size_t length = slash == path ? 1 : slash != NULL ? (size_t)(slash - path) : 0;
	char *const directory = slash != NULL ? strndup(path, length) : strdup(".");
	int r;

	if (directory == NULL)
		return -ENOMEM;
	r = faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
	free(directory);
	return r;
}

char *pfi_path_working_directory(void)
{
	const char *const name = getenv("PWD");
	struct stat named, here;

	if (name != NULL && *name == '/' && stat(name, &named) == 0 && stat(".", &here) == 0 &&
	    named.st_dev == here.st_dev && named.st_ino == here.st_ino)
		return strdup(name);
	return getcwd(NULL, 0);
}
