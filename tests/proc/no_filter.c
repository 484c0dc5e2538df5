/* With TEST_NO_FILTER in the environment, SO_ATTACH_FILTER fails as it does without privileges on some kernels.
 * The linker puts this between the library and libc (-Wl,--wrap). */
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
