/*
 * arbiter/fd_store.h -- the descriptor store of the service manager: listeners that outlive this process.
 *
 * systemd keeps a copy of each stored socket, and hands it over at the next start: connections that arrive while the
 * server restarts, or after it has crashed, wait in the backlog. So a stored socket must not refuse connections at a
 * stop. TCP and abstract unix sockets are stored; a unix path belongs to the process that has made it, and reuseport
 * sockets follow the number of workers.
 */
#ifndef ARBITER_FD_STORE_H
#define ARBITER_FD_STORE_H

#include <stdbool.h>
#include <stdint.h>

struct pfi_inherited_socket;
struct pfi_listener_entry;
struct prefork_arbiter;

enum { PFI_STORE_NAME_MAX = 32, PFI_STORE_REMOVALS_MAX = 16 };

/* Written by fd_store.c. */
struct pfi_fd_store {
	bool is_on;
	char removals[PFI_STORE_REMOVALS_MAX][PFI_STORE_NAME_MAX]; /* that have not been sent yet */
	unsigned removal_count;
};

/* Whether the store is used: by the setting fd_store and the variable FDSTORE, which tells how much fits. */
void pfi_fd_store_open(struct prefork_arbiter *arbiter, const char *variable);

/* Whether a socket with this name is one that an arbiter has stored. */
bool pfi_fd_store_is_ours(const char *name);

/* Have the service manager close its copy: of a listener that is not used any more, or of an inherited socket that no
 * setting names. The new arbiter of an upgrade does so once it has been promoted. */
void pfi_fd_store_remove(struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry);
void pfi_fd_store_remove_inherited(struct prefork_arbiter *arbiter, const struct pfi_inherited_socket *socket);

/* In the main process of the service: store what is not stored yet or, if the store is not used, remove what is stored.
 * Returns when to call again, 0: when something changes. */
uint64_t pfi_fd_store_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
