/*
 * syslog -- datagrams to a syslog daemon; a send never blocks.
 *
 * The socket is not connected: each datagram finds the daemon anew, so that nothing is to be done after the daemon has
 * restarted. If the daemon is gone or too slow, lines are counted, and the count is the first line sent afterwards.
 *
 * Threads: any may send. Fork: the child sends with its own pid, and counts its own lost lines.
 */
#ifndef OS_SYSLOG_H
#define OS_SYSLOG_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { PFI_SYSLOG_IDENTITY_MAX = 80, PFI_SYSLOG_HOST_MAX = 64 };

struct pfi_syslog {
	int fd;
	struct sockaddr_storage address;
	socklen_t size;
	int facility;
	char identity[PFI_SYSLOG_IDENTITY_MAX];
	char host[PFI_SYSLOG_HOST_MAX]; /* empty: the daemon is on this machine */
	atomic_uint lost;               /* in process `pid`                     */
	atomic_int pid;
};

/* Read unix://PATH[#dgram] or udp://ADDRESS[:PORT]. 0, or -EINVAL with an error message. Resolves no name, since that may
 * block; "localhost" is 127.0.0.1. */
int pfi_syslog_read(const char *text, struct sockaddr_storage *ret, socklen_t *ret_size);

/* Returns *new*, or NULL with an error message and its negative errno in *ret_error. */
struct pfi_syslog *pfi_syslog_open(const char *address, const char *identity, const char *facility, int *ret_error);
void pfi_syslog_close(struct pfi_syslog *syslog);

/* Send one line. `level`: enum prefork_log_level; `local_s`: now, in local time. */
void pfi_syslog_send(struct pfi_syslog *syslog, int level, int64_t local_s, const char *message, size_t length);

#endif
