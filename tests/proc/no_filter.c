/* With TEST_NO_FILTER in the environment filters are for others, as they are to who is not root on some kernels.
 * The linker puts this between the library and the libc (-Wl,--wrap). */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	if (level == SOL_SOCKET && option == SO_ATTACH_FILTER && getenv("TEST_NO_FILTER")) {
		errno = EPERM;
		return -1;
	}
	return __real_setsockopt(fd, level, option, value, size);
}
