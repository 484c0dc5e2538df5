/*
 * What the pages of the workers show, and what is to be seen of it in the log. All of it
 * is input: numbers to compare, bytes to clean, threads to be asked for by a number that
 * the kernel checks.
 */
#include "arbiter/arbiter.h"

#include "model/deadline.h"
#include "os/dump.h"
#include "os/watch.h"

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

struct pfi_page *pfi_process_page(const struct prefork_process *process)
{
	return pfi_page(&process->arbiter->pages, process->seat);
}

void pfi_child_say_wild(struct prefork_arbiter *arbiter, struct prefork_process *process, const char *what)
{
	if (!process->said_wild)
		prefork_log_say(arbiter->log, PREFORK_WARNING, "arbiter", "Worker (pid:%d) has gone wild: %s",
				(int)process->pid, what);
	process->said_wild = true;
}

/* A watch that went off too often is heard again after a while, lest its worker hang
 * unseen. When that is to be tried, 0: it is heard. */
static uint64_t listen_to_watch(struct prefork_arbiter *arbiter, struct prefork_process *process,
				uint64_t now_ms)
{
	const struct pfi_tag tag = { PFI_SOURCE_WATCH, process->seat, pfi_process_slot(process)->incarnation };

	if (!pfi_deadline_is_past(process->deaf_until_ms, now_ms))
		return process->deaf_until_ms;
	process->deaf_until_ms = pfi_loop_add(arbiter, process->watch, tag) < 0 ? now_ms + 1000 : 0;
	return process->deaf_until_ms;
}

/* A deadline that is long past when we first hear of it: we stood still (SIGSTOP, a
 * suspended machine), perhaps the worker did, too. It has one more period, once for
 * each deadline; what it writes there to get more of them is its own time. */
static void excuse(struct prefork_process *process, struct pfi_slot *slot, uint64_t late_ms, uint64_t now_ms)
{
	const struct pfi_policy *const policy = &process->arbiter->models[process->pool].policy;
	const uint64_t until_ms = pfi_deadline_grace_until_ms(late_ms, now_ms, policy->request_timeout_ms);

	if (late_ms == 0 || late_ms == process->excused_ms)
		return;
	process->excused_ms = late_ms;
	if (until_ms > slot->spare_until_ms)
		slot->spare_until_ms = until_ms;
}

/* The note of one thread, cleaned. */
static void read_note(const struct prefork_process *process, unsigned thread, char note[PFI_NOTE_SIZE + 1])
{
	const volatile char *const bytes = pfi_process_page(process)->cells[thread].note;

	for (unsigned i = 0; i < PFI_NOTE_SIZE; i++) {
		const char byte = bytes[i];

		note[i] = byte != '\0' && ((unsigned char)byte < 0x20 || byte == 0x7f) ? '?' : byte;
	}
	note[PFI_NOTE_SIZE] = '\0';
}

static unsigned cells_of(const struct prefork_process *process)
{
	const unsigned cells = process->arbiter->pools[process->pool].cells;

	return cells < PFI_CELLS_MAX ? cells : PFI_CELLS_MAX;
}

/* Copy the numbers out of the page; which thread is most in question. */
static unsigned read_words(struct prefork_process *process, struct pfi_word words[PFI_CELLS_MAX])
{
	const struct pfi_page *const page = pfi_process_page(process);
	uint64_t requests = 0, best_ms = UINT64_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i < cells_of(process); i++) {
		words[i] = (struct pfi_word){
			.deadline_ms = atomic_load_explicit(&page->cells[i].deadline_ms, memory_order_relaxed),
			.since_ms = atomic_load_explicit(&page->cells[i].since_ms, memory_order_relaxed),
			.exists = atomic_load_explicit(&page->cells[i].tid, memory_order_relaxed) != 0,
		};
		requests += atomic_load_explicit(&page->cells[i].requests, memory_order_relaxed);
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
	return at_ms > process->looked_ms && at_ms <= now_ms;
}

static void say_slow(const struct prefork_process *process, const struct pfi_word *words, uint64_t now_ms)
{
	char note[PFI_NOTE_SIZE + 1];
	unsigned said = 0;

	for (unsigned i = 0; i < cells_of(process) && said < SLOW_A_LOOK; i++) {
		if (!came_up(process, pfi_deadline_slow_at_ms(&words[i], process->slow_ms), now_ms))
			continue;
		said++;
		read_note(process, i, note);
		prefork_log_say(process->arbiter->log, PREFORK_WARNING, "arbiter",
				"SLOW (pid:%d, thread %u): at it for %" PRIu64 " ms%s%s", (int)process->pid, i,
				now_ms - words[i].since_ms, note[0] ? ": " : "", note);
	}
}

/* Which threads are late and have not been asked for their stack; how many. */
static uint32_t mark_unseen(struct prefork_process *process, const struct pfi_word *words, uint64_t now_ms)
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

/* Clients beside those of the threads that are late; as long as its doors are open, one more may
 * be on its way in. The doors first: who came before they closed is counted when they are. */
static uint32_t count_others(const struct prefork_process *process, uint32_t late)
{
	const struct pfi_page *const page = pfi_process_page(process);
	const bool is_open = atomic_load_explicit(&page->closed, memory_order_acquire) == 0;
	const uint32_t connections = atomic_load_explicit(&page->connections, memory_order_relaxed);

	return (connections > late ? connections - late : 0) + is_open;
}

void pfi_child_look(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	struct pfi_word words[PFI_CELLS_MAX];
	const unsigned first = read_words(process, words);

	read_note(process, first, process->note);
	process->is_at_work = words[first].deadline_ms != 0;
	if (now_ms == 0)
		return;

	const struct pfi_look look = pfi_deadline_look(words, cells_of(process), process->slow_ms, now_ms);
	struct pfi_slot *const slot = pfi_process_slot(process);

	slot->busy = look.busy;
	slot->late = look.late;
	slot->able = look.able;
	excuse(process, slot, look.late_ms, now_ms);
	slot->others = count_others(process, look.late);
	slot->unseen = mark_unseen(process, words, now_ms);
	say_slow(process, words, now_ms);
	process->looked_ms = now_ms;
	/* A deadline that is ever so close, again and again, may not keep us busy. */
	slot->next_ms = look.next_ms == 0 || look.next_ms >= now_ms + LOOKS_APART_MS ? look.next_ms :
											now_ms + LOOKS_APART_MS;
	slot->next_ms = pfi_earlier_ms(slot->next_ms, listen_to_watch(arbiter, process, now_ms));
}

/* Why it ended, where it could not send that. */
void pfi_child_read_exit_note(struct prefork_process *process)
{
	const volatile char *const bytes = pfi_process_page(process)->exit_note;
	char note[PFI_EXIT_NOTE_SIZE + 1];

	for (unsigned i = 0; i < PFI_EXIT_NOTE_SIZE; i++)
		note[i] = bytes[i];
	note[PFI_EXIT_NOTE_SIZE] = '\0';
	if (note[0] != '\0')
		pfi_death_clean(note, process->last_words, sizeof process->last_words);
}

/* It is dead. Who was late has been looked at before; else what began last among what it was at
 * is most likely to blame, and if it was at nothing, what began last of all is told. How many
 * threads were at work. */
unsigned pfi_child_look_back(struct prefork_process *process)
{
	struct pfi_word words[PFI_CELLS_MAX];
	unsigned best = read_words(process, words), busy = 0;
	const bool was_late = process->cause == PFI_CAUSE_REQUEST_TIMEOUT;

	for (unsigned i = 0; i < cells_of(process); i++) {
		const bool is_busy = words[i].deadline_ms != 0, beats = is_busy && words[best].deadline_ms == 0;

		busy += is_busy;
		if (!was_late && (beats || (is_busy == (words[best].deadline_ms != 0) &&
		                            words[i].since_ms > words[best].since_ms)))
			best = i;
	}
	read_note(process, best, process->note);
	return busy;
}

void pfi_child_dump(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	const struct pfi_page *const page = pfi_process_page(process);
	char note[PFI_NOTE_SIZE + 1];

	for (unsigned i = 0; i < cells_of(process); i++) {
		uint64_t *const bits = &process->unseen[i / 64];
		const uint64_t bit = UINT64_C(1) << i % 64;

		if ((*bits & bit) == 0)
			continue;
		*bits &= ~bit;
		process->dumps++;
		read_note(process, i, note);
		prefork_log_say(arbiter->log, PREFORK_CRITICAL, "arbiter",
				"WORKER TIMEOUT (pid:%d, thread %u): %s%s%s", (int)process->pid, i,
				pfi_cause_text(PFI_CAUSE_REQUEST_TIMEOUT),
				note[0] ? "; it is at: " : "", note);
		/* A number that is none of its threads is refused by the kernel: nothing to show. */
		(void)pfi_dump_ask(process->pid,
				   (pid_t)atomic_load_explicit(&page->cells[i].tid, memory_order_relaxed));
	}
	pfi_process_slot(process)->unseen = 0;
}

void pfi_child_watch_fired(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	if (now_ms - process->fires_at_ms >= 1000) {
		process->fires_at_ms = now_ms;
		process->fires = 0;
	}
	if (++process->fires > FIRES_A_SECOND) { /* hostile: it may not keep us busy */
		pfi_child_say_wild(
			arbiter, process,
			"its watch goes off without end, and is heard only now and then");
		pfi_loop_remove(arbiter, process->watch);
		(void)pfi_watch_set(process->watch, 0);
		process->deaf_until_ms = process->fires_at_ms + 1000;
	}
	pfi_child_look(arbiter, process, now_ms);
}

/* We were woken for nothing. A worker that sets its watch anew just when it has gone off can have
 * that, and does not show who it is: when it goes on, nobody's watch is heard for a moment. */
void pfi_turn_was_empty(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	if (now_ms - arbiter->empty_at_ms >= 1000) {
		arbiter->empty_at_ms = now_ms;
		arbiter->empty_turns = 0;
	}
	if (++arbiter->empty_turns <= EMPTY_A_SECOND)
		return;
	for (unsigned i = 0; i < arbiter->seat_count; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid == 0 || process->deaf_until_ms != 0)
			continue;
		pfi_loop_remove(arbiter, process->watch);
		process->deaf_until_ms = now_ms + EMPTY_PAUSE_MS;
		pfi_process_slot(process)->next_ms =
			pfi_earlier_ms(pfi_process_slot(process)->next_ms, process->deaf_until_ms);
	}
}
