/*
 * Workers that cannot accept connections: what is pending goes to others at once, and the worker is replaced when
 * it lasts. What it lacks is the worker's word: a number to name, and no more.
 */
#include "arbiter/arbiter.h"

#include "model/deadline.h"
#include "model/message.h"
#include "os/control_channel.h"

#include <stdio.h>
#include <string.h>

enum { RELAPSE_MS = 2000 };

/* The kernel has woken the one that is short, and none of these. With reuse_port the socket moves, see reuseport sockets.c. */
static void have_others_look(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		const struct prefork_process *const other = &arbiter->processes[i];

		if (other->pid != 0 && other->exited_ms == 0 && other->short_of == 0 &&
		    pfi_process_slot(other)->state == PFI_STATE_SERVING)
			(void)pfi_channel_send(other->channel, PFI_MESSAGE_LOOK, 0, NULL);
	}
}

void pfi_shortage_heard(struct prefork_arbiter *arbiter, struct prefork_process *process, uint32_t value,
			uint64_t now_ms)
{
	struct pfi_slot *const slot = pfi_process_slot(process);

	/* At a limit each connection that ends lets one in: short again soon is short all the time. */
	if (process->short_of == 0 && (process->able_ms == 0 || now_ms - process->able_ms > RELAPSE_MS))
		process->short_since_ms = now_ms;
	slot->short_ms = process->short_since_ms;
	slot->short_own = (value & PFI_SHORT_OWN) != 0;
	slot->short_by_load = (value & PFI_SHORT_LOAD) != 0;
	process->short_of = (int)(value & PFI_SHORT_ERRNO);
	have_others_look(arbiter);
}

void pfi_shortage_over(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	process->able_ms = now_ms;
	pfi_process_slot(process)->short_ms = 0;
	process->short_of = 0;
	if (process->logged_short)
		prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter", "Worker (pid:%d) accepts connections again",
				(int)process->pid);
	process->logged_short = false;
}

static void replace(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	pfi_process_slot(process)->wants_retire = true;
	(void)snprintf(process->exit_message, sizeof process->exit_message, "it could not accept connections: %s",
		       strerror(process->short_of));
	prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter",
			"Worker (pid:%d) is replaced: it cannot accept connections for %d ms now%s", (int)process->pid,
			PFI_SHORTAGE_LASTS_MS,
			pfi_process_slot(process)->short_own ? " (does the application leave files or sockets open?)" : "");
}

/* One line for each worker that is short beside others, one for all of them together. */
static void say(struct prefork_arbiter *arbiter, unsigned pool, enum pfi_shortage before)
{
	const struct prefork_pool *const it = &arbiter->pools[pool];
	const bool all = it->shortage == PFI_SHORTAGE_ALL;
	int lacks = 0;

	for (uint32_t i = 0; i < arbiter->models[pool].worker_table.count; i++) {
		struct prefork_process *const process = &arbiter->processes[it->first_worker_index + i];

		if (process->pid == 0 || process->short_of == 0)
			continue;
		lacks = process->short_of;
		if (it->shortage == PFI_SHORTAGE_SOME && !process->logged_short) {
			process->logged_short = true;
			prefork_log_printf(arbiter->log, PREFORK_LOG_ERROR, "arbiter",
					"Worker (pid:%d) cannot accept connections: %s; other workers of pool %s do",
					(int)process->pid, strerror(lacks), it->name);
		}
	}
	if (all && before != PFI_SHORTAGE_ALL)
		prefork_log_printf(arbiter->log, PREFORK_LOG_ERROR, "arbiter",
				"Pool %s cannot accept connections: %s; all its workers retry twice a second", it->name,
				strerror(lacks));
	else if (!all && before == PFI_SHORTAGE_ALL)
		prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter", "Pool %s accepts connections again", it->name);
}

/* When to look again, 0: no need. */
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
		say(arbiter, p, before);
		for (uint32_t i = 0; i < worker_table->count; i++) {
			if (pfi_shortage_replaces(worker_table, i, now_ms, &at_ms))
				replace(arbiter, &arbiter->processes[pool->first_worker_index + i]);
			wake_ms = pfi_earlier_ms(wake_ms, at_ms);
		}
	}
	return wake_ms;
}
