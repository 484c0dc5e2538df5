/*
 * os/rights.h -- descriptors in a message of a unix socket (SCM_RIGHTS, unix(7)).
 */
#ifndef OS_RIGHTS_H
#define OS_RIGHTS_H

#include <stddef.h>
#include <sys/socket.h>

/* Space for `count` descriptors, a constant, aligned as the kernel expects it. */
#define PFI_RIGHTS_BUFFER(count)                          \
	union {                                           \
		struct cmsghdr align;                     \
		char bytes[CMSG_SPACE((count) * sizeof(int))]; \
	}

/* `control`: the bytes of such a buffer, all 0, for at least `count` descriptors. It must outlive the sending. */
void pfi_rights_attach(struct msghdr *message, char *control, const int *fds, size_t count);

#endif
