/*
 * port owner -- the process that listens on an address already, for the error message of a failed bind(2).
 *
 * It is found in /proc, which shows the descriptors of the user's own processes, and to root those of all. The search
 * is bounded, so that it does not delay the caller. Threads: any.
 */
#ifndef OS_PORT_OWNER_H
#define OS_PORT_OWNER_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { PFI_PORT_OWNER_NAME_MAX = 17 };

/* The process with a listening socket that conflicts with this TCP address; 0: not found. */
pid_t pfi_port_owner_find(const struct sockaddr_storage *address);

/* Store the name of the process, "" if it has exited. */
void pfi_port_owner_name(pid_t pid, char name[PFI_PORT_OWNER_NAME_MAX]);

#endif
