/* How a listener is opened: what the settings, and the services behind it, say. */
#include "arbiter/arbiter.h"

#include "listener/listener.h"
#include "listener/owner.h"
#include "model/library_options.h"

#include <string.h>

static bool names(const struct prefork_settings *settings, const char *text)
{
	const struct prefork_list *const bind = &pfi_library_settings(settings)->bind;

	for (size_t i = 0; i < bind->count; i++) {
		if (strcmp(bind->items[i], text) == 0)
			return true;
	}
	return false;
}

/* One pool whose clients wait to be spoken to decides for all that share the listener. */
static bool clients_speak_first(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
				const char *text)
{
	bool some = false;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_service *const service = arbiter->pools[i].service;

		if (!pfi_pool_has_listeners(&arbiter->pools[i]) || !names(generation->of_pool[i], text))
			continue;
		if (service == NULL || (service->traits & PREFORK_SERVICE_CLIENT_FIRST) == 0)
			return false;
		some = true;
	}
	return some;
}

static uint32_t workers_max(const struct prefork_arbiter *arbiter,
			    const struct pfi_generation *generation, unsigned pool)
{
	const uint32_t workers_for = arbiter->models[pool].policy.workers_max; /* once there are slots */

	return workers_for > 0 ? workers_for : pfi_settings_workers_max(pfi_library_settings(generation->of_pool[pool]));
}

/* A reuseport socket for each worker there may ever be here; those that are wanted now listen. */
static void count_sockets(const struct prefork_arbiter *arbiter,
			const struct pfi_generation *generation, const char *text,
			struct pfi_listener_options *options)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_settings *const settings = generation->of_pool[i];

		if (!pfi_pool_has_listeners(&arbiter->pools[i]) || !names(settings, text))
			continue;
		options->sockets += workers_max(arbiter, generation, i);
		options->sockets_listening += pfi_library_settings(settings)->workers;
	}
}

/* At the start, since it may wait for a directory service; a reload cannot change the owner. */
int pfi_listening_owners(struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < arbiter->pool_count; i++) {
		if (pfi_pool_has_listeners(&arbiter->pools[i]))
			r = pfi_owner_read(generation->of_pool[i], &arbiter->pools[i].uid, &arbiter->pools[i].gid);
	}
	return r;
}

void pfi_listener_options_read(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
			  unsigned pool, const char *text, struct pfi_listener_options *ret)
{
	const struct pfi_library_settings *const values = pfi_library_settings(generation->of_pool[pool]);

	*ret = pfi_listener_defaults;
	ret->backlog = values->backlog;
	ret->ipv6_only = values->ipv6_only;
	ret->mode = (mode_t)values->socket_mode;
	ret->defer_accept_s = values->defer_accept == PFI_DEFER_ACCEPT_AUTO ? clients_speak_first(arbiter, generation, text)
								    : values->defer_accept == PFI_DEFER_ACCEPT_ON;
	ret->reuse_port = values->reuse_port;
	if (ret->reuse_port)
		count_sockets(arbiter, generation, text, ret);
	ret->uid = arbiter->pools[pool].uid;
	ret->gid = arbiter->pools[pool].gid;
}
