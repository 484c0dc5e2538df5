#include "arbiter/fd_store.h"

#include "arbiter/arbiter.h"
#include "base/crc32c.h"
#include "base/number.h"
#include "listener/inherit.h"
#include "listener/listener.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { RETRY_MS = 50 };

static const char prefix[] = "prefork-";

void pfi_fd_store_open(struct prefork_arbiter *arbiter, const char *variable)
{
	const enum pfi_fd_store_use use = pfi_library_settings(arbiter->initial)->fd_store;
	int64_t most = 0;

	if (variable != NULL)
		(void)pfi_parse_whole(variable, &most);
	arbiter->fd_store.is_on = use == PFI_FD_STORE_ON || (use == PFI_FD_STORE_AUTO && most > 0);
}

bool pfi_fd_store_is_ours(const char *name)
{
	return strncmp(name, prefix, sizeof prefix - 1) == 0;
}

/* A name may not contain a colon, as an address does; the next start finds the socket by its address. */
static void name_of(const char *address, char name[PFI_STORE_NAME_MAX])
{
	(void)snprintf(name, PFI_STORE_NAME_MAX, "%s%08" PRIx32, prefix, pfi_crc32c(0, address, strlen(address)));
}

static int send_removals(struct prefork_arbiter *arbiter)
{
	struct pfi_fd_store *const store = &arbiter->fd_store;

	while (store->removal_count > 0) {
		char message[64];

		(void)snprintf(message, sizeof message, "FDSTOREREMOVE=1\nFDNAME=%s",
			       store->removals[store->removal_count - 1]);
		if (pfi_notify_socket_send(&arbiter->notify.socket, message, strlen(message), NULL, 0) == -EAGAIN)
			return -EAGAIN;
		store->removal_count--;
	}
	return 0;
}

/* The service manager listens to the main process alone. */
static bool is_main(const struct prefork_arbiter *arbiter)
{
	return arbiter->notify.socket.fd >= 0 && !arbiter->notify.service.is_replaced &&
	       pfi_predecessor_is_over(arbiter);
}

static void remove_name(struct prefork_arbiter *arbiter, const char *name)
{
	struct pfi_fd_store *const store = &arbiter->fd_store;

	if (arbiter->notify.socket.fd < 0 || store->removal_count == PFI_STORE_REMOVALS_MAX)
		return;
	(void)snprintf(store->removals[store->removal_count++], PFI_STORE_NAME_MAX, "%s", name);
	if (is_main(arbiter))
		(void)send_removals(arbiter); /* else in a later turn */
}

void pfi_fd_store_remove(struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry)
{
	char name[PFI_STORE_NAME_MAX];

	name_of(prefork_listener_address(entry->listener), name);
	remove_name(arbiter, name);
}

void pfi_fd_store_remove_inherited(struct prefork_arbiter *arbiter, const struct pfi_inherited_socket *socket)
{
	char address[PFI_ADDRESS_TEXT_MAX], name[PFI_STORE_NAME_MAX];
	struct sockaddr_storage bound = { 0 };
	socklen_t size = sizeof bound;

	if (pfi_fd_store_is_ours(socket->name)) {
		remove_name(arbiter, socket->name);
	} else if (getsockname(socket->fd, (struct sockaddr *)&bound, &size) == 0) {
		pfi_address_format(&bound, size, address, sizeof address);
		name_of(address, name);
		remove_name(arbiter, name);
	}
}

static bool can_store(const struct pfi_listener_entry *entry)
{
	const struct prefork_listener *const listener = entry->listener;

	return !entry->is_stored && (listener->held_by & PFI_HELD_BY_STARTER) == 0 && listener->path == NULL &&
	       listener->sockets == NULL && !listener->is_refusing;
}

/* 0, -EAGAIN, or another negative errno: the message is lost. */
static int store(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry)
{
	const int fd = prefork_listener_fd(entry->listener);
	char name[PFI_STORE_NAME_MAX], message[64];
	int r;

	name_of(prefork_listener_address(entry->listener), name);
	(void)snprintf(message, sizeof message, "FDSTORE=1\nFDNAME=%s", name);
	r = pfi_notify_socket_send(&arbiter->notify.socket, message, strlen(message), &fd, 1);
	if (r == 0) {
		entry->listener->held_by |= PFI_HELD_BY_STORE;
		entry->is_stored = true;
	}
	return r;
}

/* What was stored while the store was used. */
static int remove_stored(struct prefork_arbiter *arbiter)
{
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if ((entry->listener->held_by & PFI_HELD_BY_STORE) == 0 ||
		    arbiter->fd_store.removal_count == PFI_STORE_REMOVALS_MAX)
			continue;
		pfi_fd_store_remove(arbiter, entry);
		entry->listener->held_by &= ~(unsigned)PFI_HELD_BY_STORE;
	}
	return send_removals(arbiter);
}

static int store_new(struct prefork_arbiter *arbiter)
{
	int r = send_removals(arbiter);

	for (size_t i = 0; r == 0 && i < arbiter->listeners.count; i++) {
		if (can_store(arbiter->listeners.list[i]))
			r = store(arbiter, arbiter->listeners.list[i]);
	}
	return r;
}

uint64_t pfi_fd_store_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	int r;

	if (!is_main(arbiter))
		return 0;
	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING)
		r = send_removals(arbiter);
	else
		r = arbiter->fd_store.is_on ? store_new(arbiter) : remove_stored(arbiter);
	return r == -EAGAIN ? now_ms + RETRY_MS : 0;
}
