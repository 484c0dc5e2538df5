/* Puts descriptors into the ancillary data of a message. */
#include "os/rights.h"

#include <string.h>

void pfi_rights_attach(struct msghdr *message, char *control, const int *fds, size_t count)
{
	message->msg_control = control;
	message->msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int)); /* the type of musl */
	struct cmsghdr *const rights = CMSG_FIRSTHDR(message);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
}
