/* With -Wl,--wrap: the epoll set of libev is not found, as without /proc. */
#include "os/epoll.h"

#include <errno.h>

int __wrap_pfi_epoll_find(int fd, int *ret_set, uint64_t *ret_data);

int __wrap_pfi_epoll_find(int fd, int *ret_set, uint64_t *ret_data)
{
	(void)fd;
	(void)ret_set;
	(void)ret_data;
	return -ENOENT;
}
