/*
 *   HUP --> read and check the settings --> new host names? --no--> open listeners --> model: canary, rollout
 *    |               |                          | yes                 |                      |
 *    |            failed                  lookup (a child)         failed                 verdict
 *    |                                          |--> done: open listeners
 *    |                                          '--> time limit, stop, another reload: verdict
 *    '--> trial (a child), if the application has one: as the lookup, before the settings are read
 *
 * Every reload has exactly one verdict: one log line, one call of the hooks.
 */
#include "arbiter/reload.h"

#include "arbiter/arbiter.h"
#include "arbiter/error_log.h"
#include "arbiter/generations.h"
#include "arbiter/hook_calls.h"
#include "arbiter/notify.h"
#include "arbiter/queries.h"
#include "arbiter/resource_limits.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "os/clock.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the log line of a failed reload ends with. */
static const char *what_remains(const struct prefork_arbiter *arbiter)
{
	bool any_desired = false;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		if (pfi_pool_serving(arbiter, i) > 0)
			return "; the old workers keep serving";
		any_desired |= pfi_pool_desired_workers(&arbiter->models[i]) > 0;
	}
	return any_desired ? "; workers of the old generation start again" : "; there are no workers";
}

static bool is_waiting(const struct prefork_arbiter *arbiter)
{
	return pfi_limited_child_runs(&arbiter->trial.child) || arbiter->lookup.generation != 0;
}

/* READY=1 is sent when no reload is in progress any more, with the verdict of the one that began last. */
static void tell_service_manager(struct prefork_arbiter *arbiter, const char *verdict, enum pfi_query_topic topic,
				 const char *why)
{
	if (topic == PFI_QUERY_RELOAD_BEGUN && is_waiting(arbiter))
		return;
	pfi_notify_reload_ends(arbiter, verdict, why, arbiter->supervisor.rollout.state != PFI_ROLLOUT_IDLE);
}

/* `topic` tells whether it is a reload whose workers are started: another one may wait meanwhile, for a trial or a lookup. */
static void announce(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, enum pfi_query_topic topic,
		     const char *why)
{
	const bool failed = verdict == PREFORK_RELOAD_FAILED;

	pfi_arbiter_log(arbiter, failed ? PREFORK_LOG_ERROR : PREFORK_LOG_INFO, "reload_end",
			PFI_PAIRS(PREFORK_TEXT("verdict", pfi_verdict_name(verdict))),
			"Reload %s%s%s%s", pfi_verdict_name(verdict), *why ? ": " : "", why,
			failed ? what_remains(arbiter) : "");
	if (verdict != PREFORK_RELOAD_SUPERSEDED) { /* another reload is in progress */
		tell_service_manager(arbiter, pfi_verdict_name(verdict), topic, why);
		pfi_queries_answer(arbiter, topic,
				   verdict == PREFORK_RELOAD_DONE ? PFI_QUERY_DONE : PFI_QUERY_FAILED,
				   verdict == PREFORK_RELOAD_STOPPED ? "the server stops" : why);
	}
	PFI_HOOKS(arbiter, reload_end, arbiter, verdict, why);
}

/* Put the settings of `generation` in force, except for the log. */
static void follow(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	arbiter->settings = generation->settings;
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t workers_max = arbiter->models[i].policy.workers_max;

		pfi_policy_read(pfi_library_settings(generation->of_pool[i]), &arbiter->models[i].policy);
		arbiter->models[i].policy.workers_max = workers_max; /* the slots were allocated at the start */
	}
	pfi_policies_follow(arbiter);
}

static void fall_back(struct prefork_arbiter *arbiter)
{
	struct pfi_generation *const now = pfi_generation_desired(arbiter);

	if (now == NULL || now->settings == arbiter->settings)
		return;
	if (pfi_error_log_follow(arbiter, arbiter->settings, now->settings) < 0)
		pfi_arbiter_log(arbiter, PREFORK_LOG_ERROR, "log_restore_failed", PFI_NO_PAIRS,
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
	announce(arbiter, decision.verdict, PFI_QUERY_RELOAD_BEGUN,
		 !failed			? "" :
		 arbiter->reload_why[0] != '\0' ? arbiter->reload_why :
						  "its first worker did not become ready and stay so");
}

/* The limits that the numbers of workers of this generation meet. */
static int check_slots(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	uint64_t more = 0;
	int r;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t workers = pfi_library_settings(generation->of_pool[i])->workers;

		if (workers > arbiter->models[i].policy.workers_max)
			return prefork_fail(PREFORK_ECONFIG,
					    "workers is %u, more than workers_max, %u, which only a restart can raise",
					    workers, arbiter->models[i].policy.workers_max);
		if (workers > arbiter->models[i].target)
			more += workers - arbiter->models[i].target;
	}
	r = more > 0 ? pfi_resource_limits_raise(arbiter, more) : 0;
	return r == -EMFILE ? r : 0; /* if the limit cannot be read, the forks show it */
}

/* Find every error that can be found without waiting, before anything changes. 1: a lookup was started, 0, or an
 * error. */
static int prepare(struct prefork_arbiter *arbiter, uint32_t number)
{
	struct prefork_settings *fresh = NULL;
	int r = pfi_settings_reread(arbiter->settings, &fresh);

	if (r == 0)
		r = pfi_settings_diff_unreloadable(arbiter->settings, fresh);
	if (r == 0)
		r = pfi_hooks_reload_begin(arbiter, fresh);
	if (r < 0) {
		prefork_settings_destroy(fresh);
		return r;
	}
	r = pfi_generation_create(arbiter, fresh, number);
	if (r < 0)
		return r;

	struct pfi_generation *const generation = pfi_generation_find(arbiter, number);

	r = check_slots(arbiter, generation);
	if (r == 0)
		r = pfi_lookup_start(arbiter, generation, pfi_now_ms());
	if (r < 0)
		pfi_generation_drop(arbiter, generation);
	return r;
}

/* If the reload changes `workers`, the new number holds once the canary is proved; else TTIN and TTOU keep their
 * effect. A pool without workers (WINCH, scaled to 0) gets those of the setting, as with gunicorn: without a worker the
 * reload would prove nothing. */
static void propose_workers(struct prefork_arbiter *arbiter, const struct pfi_generation *old,
			    const struct pfi_generation *new)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t workers = pfi_library_settings(new->of_pool[i])->workers;
		const bool is_empty = arbiter->models[i].target == 0;

		if (is_empty)
			pfi_pool_log(arbiter, i, PREFORK_LOG_INFO, "pool_scale",
				     PFI_PAIRS(PREFORK_NUMBER("workers", workers), PREFORK_NUMBER("before", 0)),
				     "Pool %s has no workers: the reload starts %u", arbiter->pools[i].name, workers);
		if (is_empty || workers != pfi_library_settings(old->of_pool[i])->workers)
			pfi_supervisor_propose(&arbiter->supervisor, i, workers);
	}
}

static void announce_failure(struct prefork_arbiter *arbiter)
{
	char why[sizeof arbiter->reload_why];

	(void)snprintf(why, sizeof why, "%s", prefork_error()[0] ? prefork_error() : "a hook refused it");
	announce(arbiter, PREFORK_RELOAD_FAILED, PFI_QUERY_RELOAD, why);
}

/* All names are known: open the new listeners and have the model try the generation. */
static void proceed(struct prefork_arbiter *arbiter, uint32_t number)
{
	struct pfi_generation *const generation = pfi_generation_find(arbiter, number);
	int r = pfi_generation_open(arbiter, generation);

	if (r == 0 && (r = pfi_error_log_follow(arbiter, arbiter->settings, generation->settings)) < 0)
		pfi_generation_drop(arbiter, generation);
	if (r < 0) {
		announce_failure(arbiter);
		return;
	}
	pfi_directory_resolve(arbiter, generation);
	arbiter->last_generation = number;
	arbiter->reload_why[0] = '\0';
	if (pfi_settings_preloads(arbiter->settings))
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "reload_preloaded", PFI_NO_PAIRS,
				"The application was loaded before the fork (--preload): a reload cannot change its code");

	follow(arbiter, generation);
	pfi_queries_reload_begun(arbiter);
	pfi_reload_decided(arbiter, pfi_supervisor_reload(&arbiter->supervisor, number));
	propose_workers(arbiter, pfi_generation_desired(arbiter), generation);
}

/* End the reload that waits for a trial or a lookup. */
static void end_waiting(struct prefork_arbiter *arbiter)
{
	struct pfi_generation *const generation = pfi_generation_find(arbiter, arbiter->lookup.generation);

	pfi_trial_end(arbiter);
	pfi_lookup_end(arbiter);
	if (generation != NULL)
		pfi_generation_drop(arbiter, generation);
}

/* Read the settings, and go on as far as possible. */
static void begin(struct prefork_arbiter *arbiter)
{
	const uint32_t number = arbiter->last_generation + 1;
	int r;

	(void)prefork_fail(0, "%s", "");
	r = prepare(arbiter, number);
	if (r < 0)
		announce_failure(arbiter);
	else if (r == 0)
		proceed(arbiter, number);
	else
		arbiter->last_generation = number; /* continued by pfi_reload_turn() */
}

void pfi_reload(struct prefork_arbiter *arbiter)
{
	int r;

	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING) {
		announce(arbiter, PREFORK_RELOAD_STOPPED, PFI_QUERY_RELOAD, "");
		return;
	}
	if (is_waiting(arbiter)) {
		end_waiting(arbiter);
		announce(arbiter, PREFORK_RELOAD_SUPERSEDED, PFI_QUERY_RELOAD, "");
	}
	pfi_notify_reload_begins(arbiter);
	r = pfi_trial_start(arbiter, pfi_now_ms());
	if (r < 0)
		announce_failure(arbiter);
	else if (r == 0)
		begin(arbiter);
}

void pfi_reload_requested(struct prefork_arbiter *arbiter)
{
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "reload", PFI_NO_PAIRS, "Reload requested by a command (--send-reload)");
	pfi_reload(arbiter);
}

/* The trial is over. */
static void take_trial(struct prefork_arbiter *arbiter)
{
	if (pfi_trial_result(arbiter) < 0)
		announce_failure(arbiter);
	else
		begin(arbiter);
}

uint64_t pfi_reload_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	int r;

	if (!is_waiting(arbiter))
		return 0;
	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING) {
		end_waiting(arbiter);
		announce(arbiter, PREFORK_RELOAD_STOPPED, PFI_QUERY_RELOAD, "");
		return 0;
	}
	if (pfi_limited_child_runs(&arbiter->trial.child)) {
		if (!pfi_limited_child_is_over(&arbiter->trial.child, now_ms))
			return arbiter->trial.child.until_ms;
		take_trial(arbiter);
	}

	const uint32_t number = arbiter->lookup.generation;

	if (number == 0)
		return 0;
	if (!pfi_limited_child_is_over(&arbiter->lookup.child, now_ms))
		return arbiter->lookup.child.until_ms;
	r = pfi_lookup_apply(arbiter, pfi_generation_find(arbiter, number));
	if (r < 0) {
		end_waiting(arbiter);
		announce_failure(arbiter);
		return 0;
	}
	pfi_lookup_end(arbiter);
	proceed(arbiter, number);
	return 0;
}
