/* Opens /dev/null for standard descriptors that are closed. */
#include "os/standard_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int pfi_standard_fds_fill(void)
{
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
		/* open(2) returns the lowest free number, which is i. */
		if (fcntl(i, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_NOCTTY) < 0)
			return -errno;
	}
	return 0;
}
