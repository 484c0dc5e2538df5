#include "arbiter/arbiter.h"

#include "model/library_options.h"
#include "model/settings.h"
#include "os/clock.h"
#include "os/log.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Behind the verdict on a reload that failed. */
static const char *what_remains(const struct prefork_arbiter *arbiter)
{
	bool any_wanted = false;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		if (pfi_pool_serving(arbiter, i) > 0)
			return "; the old workers serve on";
		any_wanted |= pfi_pool_wanted(&arbiter->models[i]) > 0;
	}
	return any_wanted ? "; workers of the old generation start again" : "; there are no workers";
}

static void announce(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why)
{
	const bool failed = verdict == PREFORK_RELOAD_FAILED;

	prefork_log_printf(arbiter->log, failed ? PREFORK_LOG_ERROR : PREFORK_LOG_INFO, "arbiter",
			"Reload %s%s%s%s", pfi_verdict_name(verdict), *why ? ": " : "", why,
			failed ? what_remains(arbiter) : "");
	PFI_HOOKS(arbiter, reload_end, verdict, why);
}

/* Only what differs: a level that the host has set by itself stays. */
static int follow_log(struct prefork_arbiter *arbiter, const struct prefork_settings *from,
		      const struct prefork_settings *to)
{
	const struct pfi_library_settings *const old = pfi_library_settings(from), *const new = pfi_library_settings(to);
	int r = 0;

	if (strcmp(old->errorlog, new->errorlog) != 0)
		r = pfi_log_move(arbiter->log, new->errorlog, STDERR_FILENO);
	if (r == 0 && old->loglevel != new->loglevel)
		prefork_log_set_level(arbiter->log, new->loglevel);
	return r;
}

/* Have everything here go by the settings of `generation`, but for the log. */
static void follow(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	arbiter->settings = generation->settings;
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t workers_for = arbiter->models[i].policy.workers_max;

		pfi_policy_read(pfi_library_settings(generation->of_pool[i]), &arbiter->models[i].policy);
		arbiter->models[i].policy.workers_max = workers_for; /* the slots are what they are */
	}
	pfi_policies_follow(arbiter);
}

/* What was there before rules again. */
static void fall_back(struct prefork_arbiter *arbiter)
{
	struct pfi_generation *const now = pfi_generation_find(arbiter, arbiter->supervisor.rollout.wanted);

	if (now == NULL || now->settings == arbiter->settings)
		return;
	if (follow_log(arbiter, arbiter->settings, now->settings) < 0)
		prefork_log_printf(arbiter->log, PREFORK_LOG_ERROR, "arbiter",
				"Cannot go back to the old log: %s", prefork_error());
	follow(arbiter, now);
}

void pfi_reload_decided(struct prefork_arbiter *arbiter, struct pfi_decision decision)
{
	const bool failed = decision.verdict == PREFORK_RELOAD_FAILED;

	if (!decision.given)
		return;
	if (failed || decision.verdict == PREFORK_RELOAD_STOPPED)
		fall_back(arbiter);
	announce(arbiter, decision.verdict,
		 !failed			 ? "" :
		 arbiter->reload_why[0] != '\0' ? arbiter->reload_why :
						   "its first worker did not become ready and stay so");
}

static int ask_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	for (unsigned h = 0; h < arbiter->hook_count; h++) {
		const struct pfi_hook_set *const set = &arbiter->hooks[h];
		const int r = set->hooks->reload_begin
				      ? set->hooks->reload_begin(arbiter, settings, set->user)
				      : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* The slots are what they were at the start. */
static int check_room(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t workers = pfi_library_settings(generation->of_pool[i])->workers;

		if (workers > arbiter->models[i].policy.workers_max)
			return prefork_fail(PREFORK_ECONFIG,
					    "workers is %u, more than workers_max, %u, which only a new start can raise",
					    workers, arbiter->models[i].policy.workers_max);
	}
	return 0;
}

/* What can be wrong, and is known without waiting for anybody, is found here, before anything changes. */
static int prepare(struct prefork_arbiter *arbiter, uint32_t number)
{
	struct prefork_settings *fresh = NULL;
	int r = pfi_settings_reread(arbiter->settings, &fresh);

	if (r == 0)
		r = pfi_settings_diff_unreloadable(arbiter->settings, fresh);
	if (r == 0)
		r = ask_begin(arbiter, fresh);
	if (r < 0) {
		prefork_settings_destroy(fresh);
		return r;
	}
	r = pfi_generation_create(arbiter, fresh, number);
	if (r < 0)
		return r;

	struct pfi_generation *const generation = pfi_generation_find(arbiter, number);

	r = check_room(arbiter, generation);
	if (r == 0)
		r = pfi_lookup_start(arbiter, generation, pfi_now_ms());
	if (r < 0)
		pfi_generation_drop(arbiter, generation);
	return r;
}

/* A number that is new counts once the candidate is proved. What TTIN and TTOU said
 * holds otherwise; but a pool without workers (WINCH, scaled to 0) has those of the setting again,
 * as with gunicorn: a reload of nothing would prove nothing. */
static void propose_workers(struct prefork_arbiter *arbiter, const struct pfi_generation *old,
			    const struct pfi_generation *new)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t workers = pfi_library_settings(new->of_pool[i])->workers;
		const bool is_empty = arbiter->models[i].target == 0;

		if (is_empty)
			prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter",
					"Pool %s has no workers: the reload starts %u", arbiter->pools[i].name, workers);
		if (is_empty || workers != pfi_library_settings(old->of_pool[i])->workers)
			pfi_supervisor_propose(&arbiter->supervisor, i, workers);
	}
}

static void announce_failure(struct prefork_arbiter *arbiter)
{
	char why[sizeof arbiter->reload_why];

	(void)snprintf(why, sizeof why, "%s", prefork_error()[0] ? prefork_error() : "a hook refused it");
	announce(arbiter, PREFORK_RELOAD_FAILED, why);
}

/* All is known that has to be: open what is new, and have the model try the first workers. */
static void proceed(struct prefork_arbiter *arbiter, uint32_t number)
{
	struct pfi_generation *const generation = pfi_generation_find(arbiter, number);
	int r = pfi_generation_open(arbiter, generation);

	if (r == 0 && (r = follow_log(arbiter, arbiter->settings, generation->settings)) < 0)
		pfi_generation_drop(arbiter, generation);
	if (r < 0) {
		announce_failure(arbiter);
		return;
	}
	pfi_directory_follow(arbiter, generation);
	arbiter->last_generation = number;
	arbiter->reload_why[0] = '\0';
	if (pfi_settings_preloads(arbiter->settings))
		prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter",
				"The application was loaded before the fork (--preload): a reload cannot change its code");

	follow(arbiter, generation);
	pfi_reload_decided(arbiter, pfi_supervisor_reload(&arbiter->supervisor, number));
	propose_workers(arbiter, pfi_generation_find(arbiter, arbiter->supervisor.rollout.wanted), generation);
}

/* The reload that waits for a lookup ends here. */
static void end_waiting(struct prefork_arbiter *arbiter)
{
	struct pfi_generation *const generation = pfi_generation_find(arbiter, arbiter->lookup.generation);

	pfi_lookup_end(arbiter);
	if (generation != NULL)
		pfi_generation_drop(arbiter, generation);
}

void pfi_reload(struct prefork_arbiter *arbiter)
{
	const uint32_t number = arbiter->last_generation + 1;
	int r;

	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING) {
		announce(arbiter, PREFORK_RELOAD_STOPPED, "");
		return;
	}
	if (arbiter->lookup.generation != 0) {
		end_waiting(arbiter);
		announce(arbiter, PREFORK_RELOAD_SUPERSEDED, "");
	}
	(void)prefork_fail(0, "%s", "");
	r = prepare(arbiter, number);
	if (r < 0)
		announce_failure(arbiter);
	else if (r == 0)
		proceed(arbiter, number);
	else
		arbiter->last_generation = number; /* goes on in pfi_reload_turn() */
}

/* One that waits for a lookup: does it go on, or end? When to ask again, 0: none waits. */
uint64_t pfi_reload_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	const uint32_t number = arbiter->lookup.generation;
	int r;

	if (number == 0)
		return 0;
	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING) {
		end_waiting(arbiter);
		announce(arbiter, PREFORK_RELOAD_STOPPED, "");
		return 0;
	}
	if (!arbiter->lookup.has_ended && now_ms < arbiter->lookup.until_ms)
		return arbiter->lookup.until_ms;
	r = arbiter->lookup.has_ended ? pfi_lookup_take(arbiter, pfi_generation_find(arbiter, number)) :
					pfi_lookup_missed(arbiter);
	if (r < 0) {
		end_waiting(arbiter);
		announce_failure(arbiter);
		return 0;
	}
	pfi_lookup_end(arbiter);
	proceed(arbiter, number);
	return 0;
}
