/*
 * control channel -- short messages between the arbiter and one worker.
 *
 * A pair of SOCK_SEQPACKET sockets: a message is received completely or not at all, and when one end is closed, the
 * other reads end of file. Neither end blocks, and neither trusts the other: lengths are checked, descriptors that a
 * worker attaches are closed by the kernel, and `text` is untrusted.
 */
#ifndef OS_CONTROL_CHANNEL_H
#define OS_CONTROL_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

enum { PFI_MESSAGE_TEXT_MAX = 480, PFI_MESSAGE_FDS_MAX = 16 };

struct pfi_message {
	uint32_t type;
	uint32_t value;
	char text[PFI_MESSAGE_TEXT_MAX + 1]; /* terminated by its only NUL */
};

/* fds[0] is for the arbiter, fds[1] for the worker; close-on-exec, non-blocking. 0 or a negative errno. */
int pfi_channel_open(int fds[2]);

/* `text` may be NULL, and is truncated to PFI_MESSAGE_TEXT_MAX bytes. 0, or
 *   -EAGAIN  the peer does not read: nothing was sent
 *   -EPIPE   the peer has closed its end */
int pfi_channel_send(int fd, uint32_t type, uint32_t value, const char *text);

/* The same, with copies of `count` descriptors, at most PFI_MESSAGE_FDS_MAX. */
int pfi_channel_send_fds(int fd, uint32_t type, uint32_t value, const char *text, const int *fds, size_t count);

/* As pfi_channel_receive(), in a worker, which trusts its arbiter: descriptors that came along are in `fds`, which has
 * PFI_MESSAGE_FDS_MAX elements, entered as logs and close-on-exec; the caller closes them. */
int pfi_channel_receive_fds(int fd, struct pfi_message *ret, int *fds, size_t *ret_count);

/* 0 and a message in *ret, or
 *   -EAGAIN   there is no message
 *   -EPIPE    the peer has closed its end, and all messages have been received
 *   -EBADMSG  the datagram was not a message, and was dropped */
int pfi_channel_receive(int fd, struct pfi_message *ret);

#endif
