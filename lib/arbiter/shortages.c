/* Follows workers that cannot accept connections: other workers check their listeners, the log gets one line, and a
 * worker that alone is short is replaced. */
#include "arbiter/shortages.h"

#include "arbiter/arbiter.h"
#include "model/deadline.h"
#include "model/message.h"
#include "os/control_channel.h"

#include <stdio.h>
#include <string.h>

/* At a limit, each connection that closes makes space for one more: a shortage that returns within this time is the same
 * one. */
enum { RELAPSE_MS = 2000 };

/* The kernel has woken only the worker that cannot accept. With reuse_port its socket is reassigned, see
 * reuseport_sets.c. */
static void wake_others(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		const struct prefork_process *const other = &arbiter->processes[i];

		if (other->pid != 0 && other->exit.at_ms == 0 && other->shortage.error == 0 &&
		    pfi_process_slot(other)->state == PFI_STATE_SERVING)
			(void)pfi_channel_send(other->channel, PFI_MESSAGE_POLL, 0, NULL);
	}
}

/* `value` is input: its errno is only printed. */
void pfi_shortage_reported(struct prefork_arbiter *arbiter, struct prefork_process *process, uint32_t value,
			   uint64_t now_ms)
{
	struct pfi_slot *const slot = pfi_process_slot(process);
	struct pfi_process_shortage *const shortage = &process->shortage;

	if (shortage->error == 0 && (shortage->ended_ms == 0 || now_ms - shortage->ended_ms > RELAPSE_MS))
		shortage->since_ms = now_ms;
	slot->shortage_ms = shortage->since_ms;
	slot->shortage_is_own = (value & PFI_SHORTAGE_OWN) != 0;
	slot->shortage_by_load = (value & PFI_SHORTAGE_LOAD) != 0;
	shortage->error = (int)(value & PFI_SHORTAGE_ERRNO);
	wake_others(arbiter);
}

void pfi_shortage_ended(struct prefork_process *process, uint64_t now_ms)
{
	process->shortage.ended_ms = now_ms;
	pfi_process_slot(process)->shortage_ms = 0;
	process->shortage.error = 0;
	if (process->shortage.logged)
		pfi_process_log(process, PREFORK_LOG_INFO, "worker_accepts", PFI_NO_PAIRS,
				"Worker (pid:%d) accepts connections again", (int)process->pid);
	process->shortage.logged = false;
}

static void replace(struct prefork_process *process)
{
	const struct pfi_slot *const slot = pfi_process_slot(process);
	char note[128];

	pfi_process_slot(process)->wants_retire = true;
	(void)snprintf(note, sizeof note, "it could not accept connections: %s", strerror(process->shortage.error));
	pfi_process_set_exit_note(process, note);
	pfi_process_log(process, PREFORK_LOG_WARNING, "worker_replace", PFI_NO_PAIRS,
			"Worker (pid:%d) is replaced: it has not accepted connections for %d ms%s", (int)process->pid,
			PFI_SHORTAGE_LASTS_MS,
			slot->shortage_is_own ? " (does the application leak descriptors?)" : "");
}

/* Log each worker that cannot accept while others of its pool do. Returns the errno of the last one of all, or 0. */
static int log_workers(struct prefork_arbiter *arbiter, unsigned pool)
{
	const struct prefork_pool *const it = &arbiter->pools[pool];
	int error = 0;

	for (uint32_t i = 0; i < arbiter->models[pool].worker_table.count; i++) {
		struct prefork_process *const process = &arbiter->processes[it->first_worker_index + i];

		if (process->pid == 0 || process->shortage.error == 0)
			continue;
		error = process->shortage.error;
		if (it->shortage != PFI_SHORTAGE_SOME || process->shortage.logged)
			continue;
		process->shortage.logged = true;
		pfi_process_log(process, PREFORK_LOG_ERROR, "worker_short", PFI_PAIRS(PREFORK_NUMBER("errno", error)),
				"Worker (pid:%d) cannot accept connections: %s; other workers of pool %s do",
				(int)process->pid, strerror(error), it->name);
	}
	return error;
}

/* If all workers of a pool are short, one line is for all of them. */
static void log_change(struct prefork_arbiter *arbiter, unsigned pool, enum pfi_shortage before)
{
	const bool all = arbiter->pools[pool].shortage == PFI_SHORTAGE_ALL;
	const int error = log_workers(arbiter, pool);

	if (all && before != PFI_SHORTAGE_ALL)
		pfi_pool_log(arbiter, pool, PREFORK_LOG_ERROR, "pool_short", PFI_PAIRS(PREFORK_NUMBER("errno", error)),
			     "Pool %s cannot accept connections: %s; all its workers retry twice a second",
			     arbiter->pools[pool].name, strerror(error));
	else if (!all && before == PFI_SHORTAGE_ALL)
		pfi_pool_log(arbiter, pool, PREFORK_LOG_INFO, "pool_accepts", PFI_NO_PAIRS,
			     "Pool %s accepts connections again", arbiter->pools[pool].name);
}

uint64_t pfi_shortages_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint64_t wake_ms = 0, at_ms;

	for (unsigned p = 0; p < arbiter->pool_count; p++) {
		struct prefork_pool *const pool = &arbiter->pools[p];
		const struct pfi_worker_table *const worker_table = &arbiter->models[p].worker_table;
		const enum pfi_shortage before = pool->shortage;

		pool->shortage = pfi_shortage_judge(worker_table, before, now_ms, &at_ms);
		wake_ms = pfi_earlier_ms(wake_ms, at_ms);
		if (pool->shortage == PFI_SHORTAGE_NONE && before == PFI_SHORTAGE_NONE)
			continue;
		log_change(arbiter, p, before);
		for (uint32_t i = 0; i < worker_table->count; i++) {
			if (pfi_shortage_replaces(worker_table, i, now_ms, &at_ms))
				replace(&arbiter->processes[pool->first_worker_index + i]);
			wake_ms = pfi_earlier_ms(wake_ms, at_ms);
		}
	}
	return wake_ms;
}
