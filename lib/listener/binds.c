/* Checks the items of the setting bind: syntax, duplicates and, for --check-config, whether they could be bound; and the
 * syntax of the addresses of other programs. */
#include "listener/binds.h"

#include "listener/address.h"
#include "listener/listener.h"
#include "model/library_options.h"
#include "model/settings.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <stdio.h>
#include <string.h>

/* Whether two texts are the same address. Two host names may still have one address. Port 0 is a new port each time. */
static bool is_same(const struct pfi_address *a, const struct pfi_address *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == PFI_ADDRESS_FD)
		return a->fd == b->fd;
	if (a->socket_size > 0)
		return pfi_address_equal(&a->socket, a->socket_size, &b->socket, b->socket_size);
	return a->port != 0 && a->port == b->port && b->socket_size == 0 && strcmp(a->host, b->host) == 0;
}

static int check_item(const struct prefork_settings *settings, const struct prefork_list *bind, size_t index)
{
	const char *const text = bind->items[index];
	struct pfi_address address, earlier;
	char why[512];

	if (pfi_address_parse(text, &address) < 0) {
		(void)snprintf(why, sizeof why, "%s", prefork_error());
		return prefork_fail(PREFORK_ECONFIG, "bind (%s): %s", pfi_settings_place(settings, bind), why);
	}
	for (size_t i = 0; i < index; i++) {
		const char *const other = bind->items[i];

		if (pfi_address_parse(other, &earlier) == 0 && is_same(&earlier, &address))
			return prefork_fail(PREFORK_ECONFIG, "bind (%s): %s and %s are the same: name it once",
			                    pfi_settings_place(settings, bind), other, text);
	}
	return 0;
}

int pfi_binds_check(const struct prefork_settings *settings)
{
	const struct prefork_list *const bind = &pfi_library_settings(settings)->bind;
	int r = 0;

	for (size_t i = 0; r == 0 && i < bind->count; i++)
		r = check_item(settings, bind, i);
	return r;
}

int pfi_peers_check(const struct prefork_settings *settings)
{
	struct pfi_address address;
	const char *text;
	char why[512];
	size_t next = 0;

	while ((text = pfi_settings_next_address(settings, &next)) != NULL) {
		const struct prefork_option *const row = &settings->rows[next - 1];
		const char *const place = settings->values[next - 1].place;

		if (pfi_address_parse_peer(text, &address) == 0)
			continue;
		(void)snprintf(why, sizeof why, "%s", prefork_error());
		return prefork_fail(PREFORK_ECONFIG, "%s (%s): %s", row->name, place != NULL ? place : "default", why);
	}
	return 0;
}

int pfi_binds_try(const struct prefork_settings *settings)
{
	const struct prefork_list *const bind = &pfi_library_settings(settings)->bind;
	struct pfi_address address;
	int r = 0;

	for (size_t i = 0; r == 0 && i < bind->count; i++) {
		r = pfi_address_parse(bind->items[i], &address);
		if (r == 0)
			r = pfi_address_resolve(&address);
		if (r == 0 && address.kind != PFI_ADDRESS_FD)
			r = pfi_listener_try(&address);
	}
	return r;
}
