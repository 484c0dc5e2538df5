/*
 * control channel -- short messages between the arbiter and one worker.
 *
 * A pair of SOCK_SEQPACKET sockets: a message arrives whole or not at all, and
 * the end of one side is read as end of file on the other. Neither side ever
 * blocks, and neither trusts the other: lengths are checked, descriptors that
 * come along are dropped by the kernel, and `text` is bytes, not yet fit for a log.
 */
#ifndef OS_CONTROL_CHANNEL_H
#define OS_CONTROL_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

enum { PFI_MESSAGE_TEXT_MAX = 480 };

struct pfi_message {
	uint32_t type;
	uint32_t value;
	char text[PFI_MESSAGE_TEXT_MAX + 1]; /* ends with a 0, has none before it */
};

/* fds[0] for the arbiter, fds[1] for the worker; close-on-exec, non-blocking. */
int pfi_channel_open(int fds[2]);

/* `text` may be NULL, and is cut at PFI_MESSAGE_TEXT_MAX bytes. 0, or
 *   -EAGAIN  the other side does not read: nothing was sent
 *   -EPIPE   the other side is gone */
int pfi_channel_send(int fd, uint32_t type, uint32_t value, const char *text);

/* 0 and a message in *ret, or
 *   -EAGAIN   nothing there
 *   -EPIPE    the other side is gone, and all it said has been read
 *   -EBADMSG  not a message of ours; it has been thrown away */
int pfi_channel_receive(int fd, struct pfi_message *ret);

#endif
