#include "arbiter/arbiter.h"

#include "listener/listener.h"
#include "model/settings.h"

#include <prefork/error.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_owner(const struct prefork_settings *settings, struct pfi_listener_options *options)
{
	const char *const user = prefork_settings_text(settings, "socket_user");
	const char *const group = prefork_settings_text(settings, "socket_group");
	char *end;

	if (user != NULL && *user != '\0') {
		const struct passwd *const entry = getpwnam(user);
		const unsigned long number = strtoul(user, &end, 10);

		if (entry == NULL && *end != '\0')
			return prefork_fail(PREFORK_ECONFIG, "socket_user: there is no user \"%s\"", user);
		options->uid = entry != NULL ? entry->pw_uid : (uid_t)number;
	}
	if (group != NULL && *group != '\0') {
		const struct group *const entry = getgrnam(group);
		const unsigned long number = strtoul(group, &end, 10);

		if (entry == NULL && *end != '\0')
			return prefork_fail(PREFORK_ECONFIG, "socket_group: there is no group \"%s\"", group);
		options->gid = entry != NULL ? entry->gr_gid : (gid_t)number;
	}
	return 0;
}

/* The pools share the listeners: one whose clients wait to be spoken to decides for all. */
static bool clients_speak_first(const struct prefork_arbiter *arbiter)
{
	bool some = false;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_service *const service = arbiter->pools[i].service;

		if (service != NULL && (service->traits & PREFORK_SERVICE_CLIENT_FIRST) == 0)
			return false;
		some |= service != NULL;
	}
	return some;
}

static bool defers_accept(const struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	const char *const word = prefork_settings_text(settings, "defer_accept");

	if (word == NULL || strcmp(word, "auto") == 0)
		return clients_speak_first(arbiter);
	return strcmp(word, "on") == 0;
}

static int read_options(const struct prefork_arbiter *arbiter, const struct prefork_settings *settings,
			struct pfi_listener_options *ret)
{
	*ret = pfi_listener_defaults;
	ret->backlog = (int)prefork_settings_int(settings, "backlog");
	ret->ipv6_only = prefork_settings_int(settings, "ipv6_only") > 0;
	ret->mode = (mode_t)prefork_settings_int(settings, "socket_mode");
	ret->defer_accept_s = defers_accept(arbiter, settings) ? 1 : 0;
	return read_owner(settings, ret);
}

struct pfi_generation *pfi_generation_find(const struct prefork_arbiter *arbiter, uint32_t number)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		if (arbiter->generations[i].number == number && number != 0)
			return &arbiter->generations[i];
	}
	return NULL;
}

/* A door of that name which another generation has open: shared, not bound twice. */
static struct pfi_entrance *find_door(const struct prefork_arbiter *arbiter, const char *name)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		for (size_t d = 0; d < arbiter->generations[i].door_count; d++) {
			struct pfi_entrance *const door = arbiter->generations[i].doors[d];

			if (strcmp(prefork_listener_name(door->listener), name) == 0)
				return door;
		}
	}
	return NULL;
}

static int add_door(struct prefork_arbiter *arbiter, struct pfi_generation *generation, const char *name,
		    const struct pfi_listener_options *options)
{
	struct pfi_entrance *door = find_door(arbiter, name);

	if (door == NULL) {
		door = calloc(1, sizeof *door);
		if (door == NULL)
			return prefork_fail(-ENOMEM, "no memory for a listener");

		const int r = pfi_listener_open(name, options, &door->listener);

		if (r < 0) {
			free(door);
			return r;
		}
		prefork_log_say(arbiter->log, PREFORK_INFO, "arbiter", "Listening at: %s (%d)",
				prefork_listener_address(door->listener), (int)getpid());
	}
	door->users++;
	generation->doors[generation->door_count++] = door;
	return 0;
}

static bool wants_doors(const struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		if (arbiter->pools[i].service != NULL)
			return true;
	}
	return false;
}

static int open_doors(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	const size_t count = wants_doors(arbiter) ? prefork_settings_count(generation->settings, "bind") : 0;
	struct pfi_listener_options options;
	int r = read_options(arbiter, generation->settings, &options);

	generation->doors = calloc(count + 1, sizeof *generation->doors);
	if (generation->doors == NULL)
		r = prefork_fail(-ENOMEM, "no memory for listeners");
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_door(arbiter, generation, prefork_settings_item(generation->settings, "bind", i), &options);
	return r;
}

static int override(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_pool *const pool = &arbiter->pools[i];
		int r = 0;

		if (pool->override_count == 0) {
			generation->of_pool[i] = pfi_settings_hold(generation->settings);
			continue;
		}
		r = pfi_settings_copy(generation->settings, &generation->of_pool[i]);
		for (size_t n = 0; r == 0 && n + 1 < pool->override_count; n += 2)
			r = pfi_settings_override(generation->of_pool[i], pool->overrides[n], pool->overrides[n + 1],
						  pool->name);
		if (r < 0)
			return r;
		pfi_settings_freeze(generation->of_pool[i]);
	}
	return 0;
}

/* Takes `settings`. */
int pfi_generation_create(struct prefork_arbiter *arbiter, struct prefork_settings *settings, uint32_t number)
{
	struct pfi_generation *const more =
		realloc(arbiter->generations, (arbiter->generation_count + 1) * sizeof *more);
	int r;

	if (more == NULL) {
		prefork_settings_destroy(settings);
		return prefork_fail(-ENOMEM, "no memory for new settings");
	}
	arbiter->generations = more;
	struct pfi_generation *const generation = &more[arbiter->generation_count++];

	*generation = (struct pfi_generation){ .number = number, .settings = settings };
	pfi_settings_freeze(settings);
	r = override(arbiter, generation);
	if (r == 0)
		r = open_doors(arbiter, generation);
	if (r < 0)
		pfi_generation_drop(arbiter, generation);
	return r;
}

void pfi_generation_drop(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	for (size_t i = generation->door_count; i-- > 0;) {
		struct pfi_entrance *const door = generation->doors[i];

		if (--door->users == 0) {
			pfi_listener_close(door->listener);
			free(door);
		}
	}
	free(generation->doors);
	for (unsigned i = 0; i < arbiter->pool_count; i++)
		prefork_settings_destroy(generation->of_pool[i]);
	prefork_settings_destroy(generation->settings);
	*generation = arbiter->generations[--arbiter->generation_count];
}

/* Those that nobody is of, and nobody will be: their listeners close with them. */
void pfi_generations_sweep(struct prefork_arbiter *arbiter)
{
	for (size_t i = arbiter->generation_count; i-- > 0;) {
		struct pfi_generation *const generation = &arbiter->generations[i];
		bool is_used = pfi_rollout_needs(&arbiter->supervisor.rollout, generation->number);

		for (unsigned s = 0; s < arbiter->seat_count; s++)
			is_used |= arbiter->processes[s].pid != 0 && arbiter->processes[s].generation == generation->number;
		if (!is_used)
			pfi_generation_drop(arbiter, generation);
	}
}

/* Let nobody new in. How long clients may still come out of the kernel, 0 when
 * there is nothing to wait for. */
uint64_t pfi_entrance_refuse(struct prefork_arbiter *arbiter)
{
	const int64_t said_ms = prefork_settings_int(arbiter->settings, "stop_linger");
	uint64_t linger_ms = 0;

	if (said_ms == 0)
		return 0;
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		for (size_t d = 0; d < arbiter->generations[i].door_count; d++) {
			uint64_t one_ms = 0;

			if (pfi_listener_refuse(arbiter->generations[i].doors[d]->listener, &one_ms) == 0 && one_ms > linger_ms)
				linger_ms = one_ms;
		}
	}
	return said_ms > 0 && linger_ms > 0 ? (uint64_t)said_ms : linger_ms;
}

uint32_t pfi_entrance_queued(const struct prefork_arbiter *arbiter)
{
	uint32_t queued = 0;

	for (size_t i = 0; i < arbiter->generation_count; i++) {
		for (size_t d = 0; d < arbiter->generations[i].door_count; d++) {
			const struct prefork_listener *const listener = arbiter->generations[i].doors[d]->listener;

			queued += !prefork_listener_is_inherited(listener) && pfi_listener_has_clients(listener) > 0;
		}
	}
	return queued;
}

/* Our copies; the workers close theirs when they have emptied the queues. */
void pfi_entrance_close(struct prefork_arbiter *arbiter)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		struct pfi_generation *const generation = &arbiter->generations[i];

		while (generation->door_count > 0) {
			struct pfi_entrance *const door = generation->doors[--generation->door_count];

			if (--door->users == 0) {
				pfi_listener_close(door->listener);
				free(door);
			}
		}
	}
}
