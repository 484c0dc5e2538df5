/* Derives the options of a listener (backlog, defer_accept, number of reuseport sockets, owner of a path) from
 * settings and services. */
#include "arbiter/listener_options.h"

#include "arbiter/arbiter.h"
#include "listener/owner.h"
#include "model/library_options.h"

#include <string.h>
#include <unistd.h>

static bool names(const struct prefork_settings *settings, const char *text)
{
	const struct prefork_list *const bind = &pfi_library_settings(settings)->bind;

	for (size_t i = 0; i < bind->count; i++) {
		if (strcmp(bind->items[i], text) == 0)
			return true;
	}
	return false;
}

/* TCP_DEFER_ACCEPT is an option of the socket, so a single pool whose protocol lets the server send first disables it
 * for all pools that share the listener. */
static bool clients_send_first(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
			       const char *text)
{
	bool any = false;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_service *const service = arbiter->pools[i].service;

		if (!pfi_pool_has_listeners(&arbiter->pools[i]) || !names(generation->of_pool[i], text))
			continue;
		if (service == NULL || (service->traits & PREFORK_SERVICE_CLIENT_FIRST) == 0)
			return false;
		any = true;
	}
	return any;
}

/* The slots of the start limit workers_max; before the start there are none. */
static uint32_t workers_max(const struct prefork_arbiter *arbiter,
			    const struct pfi_generation *generation, unsigned pool)
{
	const uint32_t slots = arbiter->models[pool].policy.workers_max;

	return slots > 0 ? slots : pfi_settings_workers_max(pfi_library_settings(generation->of_pool[pool]));
}

/* One socket for each worker that is likely to accept here; as many listen as there are to be workers now. */
static void count_sockets(const struct prefork_arbiter *arbiter,
			  const struct pfi_generation *generation, const char *text,
			  struct pfi_listener_options *options)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_settings *const settings = generation->of_pool[i];

		if (!pfi_pool_has_listeners(&arbiter->pools[i]) || !names(settings, text))
			continue;
		options->sockets += pfi_settings_sockets(pfi_library_settings(settings), workers_max(arbiter, generation, i));
		options->sockets_listening += pfi_library_settings(settings)->workers;
	}
}

int pfi_listener_owners_read(struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < arbiter->pool_count; i++) {
		struct prefork_pool *const pool = &arbiter->pools[i];

		if (!pfi_pool_has_listeners(pool))
			continue;
		r = pfi_owner_read(generation->of_pool[i], &pool->uid, &pool->gid);
		if (!pool->credentials.is_set || geteuid() != 0)
			continue;
		if (pool->uid == (uid_t)-1)
			pool->uid = pool->credentials.uid;
		if (pool->gid == (gid_t)-1)
			pool->gid = pool->credentials.gid;
	}
	return r;
}

static mode_t socket_mode(const struct prefork_settings *settings)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	enum prefork_origin origin = PREFORK_FROM_ROW;

	(void)prefork_settings_origin_of(settings, &values->socket_mode, &origin, NULL);
	return (mode_t)values->socket_mode & ~(values->umask >= 0 && origin == PREFORK_FROM_ROW ? (mode_t)values->umask : 0);
}

void pfi_listener_options_read(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
			       unsigned pool, const char *text, struct pfi_listener_options *ret)
{
	const struct pfi_library_settings *const values = pfi_library_settings(generation->of_pool[pool]);

	*ret = pfi_listener_defaults;
	ret->backlog = values->backlog;
	ret->ipv6_only = values->ipv6_only;
	ret->mode = socket_mode(generation->of_pool[pool]);
	ret->defer_accept_s = values->defer_accept == PFI_DEFER_ACCEPT_AUTO ? clients_send_first(arbiter, generation, text)
									    : values->defer_accept == PFI_DEFER_ACCEPT_ON;
	ret->reuse_port = values->reuse_port;
	if (ret->reuse_port)
		count_sockets(arbiter, generation, text, ret);
	ret->uid = arbiter->pools[pool].uid;
	ret->gid = arbiter->pools[pool].gid;
}
