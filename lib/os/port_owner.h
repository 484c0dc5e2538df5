/*
 * holder -- which process listens at an address already.
 *
 * Asked when a bind has failed, to say so to a person. From /proc, which shows the descriptors of
 * one's own processes, and to root everybody's; a bounded number of looks, lest it hold up
 * its caller. Any thread.
 */
#ifndef OS_PORT_OWNER_H
#define OS_PORT_OWNER_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { PFI_PORT_OWNER_NAME_MAX = 17 };

/* Who listens where a bind to this TCP address would have to go: its process id, 0 when that cannot be told. */
pid_t pfi_port_owner_find(const struct sockaddr_storage *address);

/* What the process is called, "" when it is gone. */
void pfi_port_owner_name(pid_t pid, char name[PFI_PORT_OWNER_NAME_MAX]);

#endif
