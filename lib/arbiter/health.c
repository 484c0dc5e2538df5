/*
 * What the pages of the workers show, and what is to be seen of it in the log. All of it
 * is input: numbers to compare, bytes to clean, threads to be asked for by a number that
 * the kernel checks.
 */
#include "arbiter/arbiter.h"

#include "model/deadline.h"
#include "os/dump.h"
#include "os/timer.h"

#include <inttypes.h>
#include <string.h>

enum {
	FIRES_A_SECOND = 100,
	EMPTY_A_SECOND = 100,
	EMPTY_PAUSE_MS = 10,
	LOOKS_APART_MS = 10, /* of deadlines that keep coming up                          */
	DUMPS_MAX = 2000,    /* of one process, in its life: each thread has one, or two  */
	SLOW_A_LOOK = 8,     /* lines: whoever has more slow requests has another problem */
};

void pfi_child_log_misbehaving(struct prefork_arbiter *arbiter, struct prefork_process *process, const char *what)
{
	if (!process->logged_misbehaving)
		prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter", "Worker (pid:%d) has gone wild: %s",
				(int)process->pid, what);
	process->logged_misbehaving = true;
}

/* A watch that went off too often is heard again after a while, lest its worker hang
 * unseen. When that is to be tried, 0: it is heard. */
static uint64_t listen_to_watch(struct prefork_arbiter *arbiter, struct prefork_process *process,
				uint64_t now_ms)
{
	const struct pfi_tag tag = { PFI_SOURCE_WATCHDOG, process->worker_index, pfi_process_slot(process)->incarnation };

	if (!pfi_deadline_is_past(process->muted_until_ms, now_ms))
		return process->muted_until_ms;
	process->muted_until_ms = pfi_loop_add(arbiter, process->watchdog, tag) < 0 ? now_ms + 1000 : 0;
	return process->muted_until_ms;
}

/* A deadline that is long past when we first hear of it: we stood still (SIGSTOP, a
 * suspended machine), perhaps the worker did, too. It has one more period, once for
 * each deadline; what it writes there to get more of them is its own time. */
static void excuse(struct prefork_process *process, struct pfi_slot *slot, uint64_t late_ms, uint64_t now_ms)
{
	const struct pfi_policy *const policy = &process->arbiter->models[process->pool].policy;
	const uint64_t until_ms = pfi_deadline_grace_until_ms(late_ms, now_ms, policy->request_timeout_ms);

	if (late_ms == 0 || late_ms == process->grace_deadline_ms)
		return;
	process->grace_deadline_ms = late_ms;
	if (until_ms > slot->grace_until_ms)
		slot->grace_until_ms = until_ms;
}

/* The note of one thread, cleaned. */
static void read_note(const struct prefork_process *process, unsigned thread, char activity[PFI_ACTIVITY_SIZE + 1])
{
	const volatile char *const bytes = pfi_process_score(process)->thread_slots[thread].activity;

	for (unsigned i = 0; i < PFI_ACTIVITY_SIZE; i++) {
		const char byte = bytes[i];

		activity[i] = byte != '\0' && ((unsigned char)byte < 0x20 || byte == 0x7f) ? '?' : byte;
	}
	activity[PFI_ACTIVITY_SIZE] = '\0';
}

static unsigned cells_of(const struct prefork_process *process)
{
	const unsigned thread_slots = process->arbiter->pools[process->pool].thread_slots;

	return thread_slots < PFI_THREAD_SLOTS_MAX ? thread_slots : PFI_THREAD_SLOTS_MAX;
}

/* Copy the numbers out of the page; which thread is most in question. */
static unsigned read_words(struct prefork_process *process, struct pfi_thread_deadline words[PFI_THREAD_SLOTS_MAX])
{
	const struct pfi_worker_score *const score = pfi_process_score(process);
	uint64_t requests = 0, best_ms = UINT64_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i < cells_of(process); i++) {
		words[i] = (struct pfi_thread_deadline){
			.deadline_ms = atomic_load_explicit(&score->thread_slots[i].deadline_ms, memory_order_relaxed),
			.since_ms = atomic_load_explicit(&score->thread_slots[i].since_ms, memory_order_relaxed),
			.exists = atomic_load_explicit(&score->thread_slots[i].tid, memory_order_relaxed) != 0,
		};
		requests += atomic_load_explicit(&score->thread_slots[i].requests, memory_order_relaxed);
		if (words[i].deadline_ms != 0 && words[i].deadline_ms < best_ms) {
			best_ms = words[i].deadline_ms;
			best = i;
		}
	}
	process->requests = requests;
	return best;
}

/* What has come up since the last look: each moment lies between two looks, and so is
 * seen once. */
static bool came_up(const struct prefork_process *process, uint64_t at_ms, uint64_t now_ms)
{
	return at_ms > process->checked_ms && at_ms <= now_ms;
}

static void say_slow(const struct prefork_process *process, const struct pfi_thread_deadline *words, uint64_t now_ms)
{
	char activity[PFI_ACTIVITY_SIZE + 1];
	unsigned said = 0;

	for (unsigned i = 0; i < cells_of(process) && said < SLOW_A_LOOK; i++) {
		if (!came_up(process, pfi_deadline_slow_at_ms(&words[i], process->slow_ms), now_ms))
			continue;
		said++;
		read_note(process, i, activity);
		prefork_log_printf(process->arbiter->log, PREFORK_LOG_WARNING, "arbiter",
				"SLOW (pid:%d, thread %u): at it for %" PRIu64 " ms%s%s", (int)process->pid, i,
				now_ms - words[i].since_ms, activity[0] ? ": " : "", activity);
	}
}

/* Which threads are late and have not been asked for their stack; how many. */
static uint32_t mark_unseen(struct prefork_process *process, const struct pfi_thread_deadline *words, uint64_t now_ms)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < cells_of(process); i++) {
		uint64_t *const bits = &process->unseen[i / 64];
		const uint64_t bit = UINT64_C(1) << i % 64;

		if (!pfi_deadline_is_past(words[i].deadline_ms, now_ms))
			*bits &= ~bit;
		else if (came_up(process, words[i].deadline_ms, now_ms) && process->dumps < DUMPS_MAX)
			*bits |= bit;
		count += (*bits & bit) != 0;
	}
	return count;
}

/* Clients beside those of the threads that are late; as long as its listeners are open, one more may
 * be on its way in. The listeners first: who came before they closed is counted when they are. */
static uint32_t count_others(const struct prefork_process *process, uint32_t late)
{
	const struct pfi_worker_score *const score = pfi_process_score(process);
	const bool is_open = atomic_load_explicit(&score->closed, memory_order_acquire) == 0;
	const uint32_t connections = atomic_load_explicit(&score->connections, memory_order_relaxed);

	return (connections > late ? connections - late : 0) + is_open;
}

void pfi_child_health_check(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	struct pfi_thread_deadline words[PFI_THREAD_SLOTS_MAX];
	const unsigned first = read_words(process, words);

	read_note(process, first, process->activity);
	process->is_at_work = words[first].deadline_ms != 0;
	if (now_ms == 0)
		return;

	const struct pfi_deadline_summary look = pfi_deadlines_summarize(words, cells_of(process), process->slow_ms, now_ms);
	struct pfi_slot *const slot = pfi_process_slot(process);

	slot->busy = look.busy;
	slot->late = look.late;
	slot->able = look.able;
	excuse(process, slot, look.late_ms, now_ms);
	slot->others = count_others(process, look.late);
	slot->unseen = mark_unseen(process, words, now_ms);
	say_slow(process, words, now_ms);
	process->checked_ms = now_ms;
	/* A deadline that is ever so close, again and again, may not keep us busy. */
	slot->next_ms = look.next_ms == 0 || look.next_ms >= now_ms + LOOKS_APART_MS ? look.next_ms :
											now_ms + LOOKS_APART_MS;
	slot->next_ms = pfi_earlier_ms(slot->next_ms, listen_to_watch(arbiter, process, now_ms));
}

/* Why it ended, where it could not send that. */
void pfi_child_read_exit_note(struct prefork_process *process)
{
	const volatile char *const bytes = pfi_process_score(process)->exit_note;
	char activity[PFI_EXIT_NOTE_SIZE + 1];

	for (unsigned i = 0; i < PFI_EXIT_NOTE_SIZE; i++)
		activity[i] = bytes[i];
	activity[PFI_EXIT_NOTE_SIZE] = '\0';
	if (activity[0] != '\0')
		pfi_exit_clean_text(activity, process->exit_message, sizeof process->exit_message);
}

/* It is dead. Who was late has been looked at before; else what began last among what it was at
 * is most likely to blame, and if it was at nothing, what began last of all is told. How many
 * threads were at work. */
unsigned pfi_child_post_mortem(struct prefork_process *process)
{
	struct pfi_thread_deadline words[PFI_THREAD_SLOTS_MAX];
	unsigned best = read_words(process, words), busy = 0;
	const bool was_late = process->cause == PFI_CAUSE_REQUEST_TIMEOUT;

	for (unsigned i = 0; i < cells_of(process); i++) {
		const bool is_busy = words[i].deadline_ms != 0, beats = is_busy && words[best].deadline_ms == 0;

		busy += is_busy;
		if (!was_late && (beats || (is_busy == (words[best].deadline_ms != 0) &&
		                            words[i].since_ms > words[best].since_ms)))
			best = i;
	}
	read_note(process, best, process->activity);
	return busy;
}

void pfi_child_dump(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	const struct pfi_worker_score *const score = pfi_process_score(process);
	char activity[PFI_ACTIVITY_SIZE + 1];

	for (unsigned i = 0; i < cells_of(process); i++) {
		uint64_t *const bits = &process->unseen[i / 64];
		const uint64_t bit = UINT64_C(1) << i % 64;

		if ((*bits & bit) == 0)
			continue;
		*bits &= ~bit;
		process->dumps++;
		read_note(process, i, activity);
		prefork_log_printf(arbiter->log, PREFORK_LOG_CRITICAL, "arbiter",
				"WORKER TIMEOUT (pid:%d, thread %u): %s%s%s", (int)process->pid, i,
				pfi_cause_text(PFI_CAUSE_REQUEST_TIMEOUT),
				activity[0] ? "; it is at: " : "", activity);
		/* A number that is none of its threads is refused by the kernel: nothing to show. */
		(void)pfi_dump_ask(process->pid,
				   (pid_t)atomic_load_explicit(&score->thread_slots[i].tid, memory_order_relaxed));
	}
	pfi_process_slot(process)->unseen = 0;
}

void pfi_child_watchdog_fired(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	if (now_ms - process->timer_events_since_ms >= 1000) {
		process->timer_events_since_ms = now_ms;
		process->timer_events = 0;
	}
	if (++process->timer_events > FIRES_A_SECOND) { /* hostile: it may not keep us busy */
		pfi_child_log_misbehaving(
			arbiter, process,
			"its watch goes off without end, and is heard only now and then");
		pfi_loop_remove(arbiter, process->watchdog);
		(void)pfi_timer_set(process->watchdog, 0);
		process->muted_until_ms = process->timer_events_since_ms + 1000;
	}
	pfi_child_health_check(arbiter, process, now_ms);
}

/* We were woken for nothing. A worker that sets its watch anew just when it has gone off can have
 * that, and does not show who it is: when it goes on, nobody's watch is heard for a moment. */
void pfi_turn_without_events(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	if (now_ms - arbiter->empty_at_ms >= 1000) {
		arbiter->empty_at_ms = now_ms;
		arbiter->empty_turns = 0;
	}
	if (++arbiter->empty_turns <= EMPTY_A_SECOND)
		return;
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid == 0 || process->muted_until_ms != 0)
			continue;
		pfi_loop_remove(arbiter, process->watchdog);
		process->muted_until_ms = now_ms + EMPTY_PAUSE_MS;
		pfi_process_slot(process)->next_ms =
			pfi_earlier_ms(pfi_process_slot(process)->next_ms, process->muted_until_ms);
	}
}
