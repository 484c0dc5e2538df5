/* Reads a worker's entry of the scoreboard. Each value is copied once and then only compared or cleaned, since the
 * worker may change it at any time. */
#include "arbiter/score_reader.h"

#include "arbiter/arbiter.h"

struct pfi_worker_score *pfi_process_score(const struct prefork_process *process)
{
	return pfi_scoreboard_at(&process->arbiter->scoreboard, process->worker_index);
}

unsigned pfi_score_threads(const struct prefork_process *process)
{
	const unsigned thread_slots = process->arbiter->pools[process->pool].thread_slots;

	return thread_slots < PFI_THREAD_SLOTS_MAX ? thread_slots : PFI_THREAD_SLOTS_MAX;
}

unsigned pfi_score_read_deadlines(const struct prefork_process *process, struct pfi_thread_deadline *ret,
				  uint64_t *ret_requests)
{
	const struct pfi_worker_score *const score = pfi_process_score(process);
	uint64_t requests = 0, earliest_ms = UINT64_MAX;
	unsigned earliest = 0;

	for (unsigned i = 0; i < pfi_score_threads(process); i++) {
		ret[i] = (struct pfi_thread_deadline){
			.deadline_ms = atomic_load_explicit(&score->thread_slots[i].deadline_ms, memory_order_relaxed),
			.since_ms = atomic_load_explicit(&score->thread_slots[i].since_ms, memory_order_relaxed),
			.exists = atomic_load_explicit(&score->thread_slots[i].tid, memory_order_relaxed) != 0,
		};
		requests += atomic_load_explicit(&score->thread_slots[i].requests, memory_order_relaxed);
		if (ret[i].deadline_ms != 0 && ret[i].deadline_ms < earliest_ms) {
			earliest_ms = ret[i].deadline_ms;
			earliest = i;
		}
	}
	*ret_requests = requests;
	return earliest;
}

void pfi_score_read_activity(const struct prefork_process *process, unsigned thread, char ret[PFI_ACTIVITY_SIZE + 1])
{
	const volatile char *const bytes = pfi_process_score(process)->thread_slots[thread].activity;

	for (unsigned i = 0; i < PFI_ACTIVITY_SIZE; i++) {
		const char byte = bytes[i];

		ret[i] = byte != '\0' && ((unsigned char)byte < 0x20 || byte == 0x7f) ? '?' : byte;
	}
	ret[PFI_ACTIVITY_SIZE] = '\0';
}

void pfi_score_read_exit_note(const struct prefork_process *process, char ret[PFI_EXIT_NOTE_SIZE + 1])
{
	const volatile char *const bytes = pfi_process_score(process)->exit_note;

	for (unsigned i = 0; i < PFI_EXIT_NOTE_SIZE; i++)
		ret[i] = bytes[i];
	ret[PFI_EXIT_NOTE_SIZE] = '\0';
}

bool pfi_score_is_idle(const struct prefork_process *process)
{
	const struct pfi_worker_score *const score = pfi_process_score(process);

	for (unsigned i = 0; i < pfi_score_threads(process); i++) {
		if (atomic_load_explicit(&score->thread_slots[i].deadline_ms, memory_order_relaxed) != 0)
			return false;
	}
	return true;
}

/* `closed` first: the worker counts a connection before it sets `closed`, so none is missed. */
uint32_t pfi_score_other_connections(const struct prefork_process *process, uint32_t overdue)
{
	const struct pfi_worker_score *const score = pfi_process_score(process);
	const bool is_open = atomic_load_explicit(&score->closed, memory_order_acquire) == 0;
	const uint32_t connections = atomic_load_explicit(&score->connections, memory_order_relaxed);

	return (connections > overdue ? connections - overdue : 0) + is_open;
}

pid_t pfi_score_thread_id(const struct prefork_process *process, unsigned thread)
{
	return (pid_t)atomic_load_explicit(&pfi_process_score(process)->thread_slots[thread].tid, memory_order_relaxed);
}
