/* Tells whether a file can be the body of a response. */
#include "http/body_file.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int pfi_body_file_check(int fd)
{
	struct stat about;
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &about) < 0)
		return prefork_fail(-errno, "the file of a body: %s", strerror(errno));
	if ((flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH) != 0)
		return prefork_fail(-EBADF, "the file of a body is not open for reading");
	if (S_ISDIR(about.st_mode))
		return prefork_fail(-EISDIR, "the file of a body is a directory");
	if (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode))
		return prefork_fail(-EINVAL, "the file of a body is a pipe or a socket, which has no offsets");
	return 0;
}
