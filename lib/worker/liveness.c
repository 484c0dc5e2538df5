/* Stores the deadline of a thread in its slot, and sets the watchdog timer if it is not set for an earlier time. */
#include "worker/liveness.h"

#include "model/deadline.h"
#include "model/worker_score.h"
#include "os/clock.h"
#include "os/timer.h"

#include <stdbool.h>

enum { REPEAT_FIRST_MS = 10, REPEAT_LAST_MS = 10 * 1000 };

void pfi_liveness_init(struct pfi_liveness *liveness, struct pfi_worker_score *score, unsigned thread_slots, int watchdog,
                       uint64_t timeout_ms, uint64_t slow_ms)
{
	*liveness = (struct pfi_liveness){
		.score = score,
		.thread_slots = thread_slots,
		.watchdog = watchdog,
		.timeout_ms = timeout_ms,
		.slow_ms = slow_ms,
		.repeat_ms = REPEAT_FIRST_MS,
	};
	(void)pthread_mutex_init(&liveness->lock, NULL);
}

void pfi_liveness_finish(struct pfi_liveness *liveness)
{
	(void)pthread_mutex_destroy(&liveness->lock);
}

/* When the arbiter must next read the slot of a thread with this deadline, after `now_ms`. */
static uint64_t check_at_ms(const struct pfi_liveness *liveness, unsigned thread, uint64_t deadline_ms, uint64_t now_ms)
{
	const uint64_t since_ms = atomic_load_explicit(&liveness->score->thread_slots[thread].since_ms, memory_order_relaxed);
	const uint64_t slow_at_ms = since_ms + liveness->slow_ms;

	return liveness->slow_ms > 0 && slow_at_ms > now_ms && slow_at_ms < deadline_ms ? slow_at_ms : deadline_ms;
}

/* The earliest time after `now_ms` at which the arbiter must read a slot, UINT64_MAX: none;
 * *ret_overdue: whether a deadline has passed. */
static uint64_t earliest(const struct pfi_liveness *liveness, uint64_t now_ms, bool *ret_overdue)
{
	uint64_t first_ms = UINT64_MAX;

	*ret_overdue = false;
	for (unsigned i = 0; i < liveness->thread_slots; i++) {
		const uint64_t deadline_ms = atomic_load_explicit(&liveness->score->thread_slots[i].deadline_ms,
		                                                  memory_order_relaxed);

		if (deadline_ms == 0)
			continue;
		if (deadline_ms <= now_ms)
			*ret_overdue = true;
		else if (check_at_ms(liveness, i, deadline_ms, now_ms) < first_ms)
			first_ms = check_at_ms(liveness, i, deadline_ms, now_ms);
	}
	return first_ms;
}

static bool is_covered(const struct pfi_liveness *liveness, uint64_t deadline_ms, uint64_t now_ms)
{
	const uint64_t at_ms = atomic_load_explicit(&liveness->watchdog_at_ms, memory_order_acquire);

	return at_ms > now_ms && at_ms <= deadline_ms;
}

static void arm_watchdog(struct pfi_liveness *liveness, uint64_t deadline_ms)
{
	bool overdue;

	(void)pthread_mutex_lock(&liveness->lock);
	const uint64_t now_ms = pfi_now_ms();
	if (!is_covered(liveness, deadline_ms, now_ms)) {
		uint64_t at_ms = earliest(liveness, now_ms, &overdue);

		if (!overdue) {
			liveness->repeat_ms = REPEAT_FIRST_MS;
		} else {
			if (at_ms > now_ms + liveness->repeat_ms)
				at_ms = now_ms + liveness->repeat_ms;
			if (liveness->repeat_ms < REPEAT_LAST_MS)
				liveness->repeat_ms *= 2;
		}
		/* The work has become slow since the caller read the clock. */
		if (at_ms == UINT64_MAX)
			at_ms = now_ms;
		/* No thread may rely on the old time while the timer is set. Otherwise:
		 *
		 *     this thread                            another thread
		 *     timer, set for 9: set for 5
		 *     (5 passes, the timer expires)
		 *                                            deadline = 10; clock: 6; set for 9: covered
		 *     watchdog_at_ms = 5
		 */
		atomic_store_explicit(&liveness->watchdog_at_ms, 0, memory_order_seq_cst);
		/* Fails only if the application has closed the descriptor. Until
		 * pfi_own_fds_check() finds that, no deadline of this worker is enforced. */
		(void)pfi_timer_set(liveness->watchdog, at_ms);
		atomic_store_explicit(&liveness->watchdog_at_ms, at_ms, memory_order_release);
	}
	(void)pthread_mutex_unlock(&liveness->lock);
}

static void store_deadline(struct pfi_liveness *liveness, unsigned thread, uint64_t deadline_ms)
{
	atomic_store_explicit(&liveness->score->thread_slots[thread].deadline_ms, deadline_ms, memory_order_relaxed);
	if (deadline_ms == PFI_NO_DEADLINE && liveness->slow_ms == 0)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	const uint64_t now_ms = pfi_now_ms();
	const uint64_t at_ms = check_at_ms(liveness, thread, deadline_ms, now_ms);
	if (at_ms != PFI_NO_DEADLINE && !is_covered(liveness, at_ms, now_ms))
		arm_watchdog(liveness, at_ms);
}

static uint64_t deadline_after(uint64_t now_ms, uint64_t timeout_ms)
{
	return timeout_ms == 0 || timeout_ms > PFI_NO_DEADLINE - now_ms ? PFI_NO_DEADLINE : now_ms + timeout_ms;
}

/* A busy thread that begins the next work replaces a deadline ahead by a later one, and need not
 * read the timer: either it expires by the old deadline, or it has expired and the arbiter has
 * remembered the old deadline. At that time the arbiter reads the slot and remembers the new one.
 * The same holds for the time at which work becomes slow, if the old one is ahead. */
void pfi_liveness_begin_within(struct pfi_liveness *liveness, unsigned thread, uint64_t timeout_ms)
{
	struct pfi_thread_slot *const thread_slot = &liveness->score->thread_slots[thread];
	const uint64_t now_ms = pfi_now_ms();
	const uint64_t deadline_ms = deadline_after(now_ms, timeout_ms);
	const uint64_t before_ms = atomic_load_explicit(&thread_slot->deadline_ms, memory_order_relaxed);
	const uint64_t since_ms = atomic_load_explicit(&thread_slot->since_ms, memory_order_relaxed);
	const bool is_tracked = before_ms > now_ms && before_ms <= deadline_ms &&
	                      (liveness->slow_ms == 0 || since_ms + liveness->slow_ms > now_ms);

	atomic_store_explicit(&thread_slot->since_ms, now_ms, memory_order_relaxed);
	if (is_tracked)
		atomic_store_explicit(&thread_slot->deadline_ms, deadline_ms, memory_order_relaxed);
	else
		store_deadline(liveness, thread, deadline_ms);
}

void pfi_liveness_begin(struct pfi_liveness *liveness, unsigned thread)
{
	pfi_liveness_begin_within(liveness, thread, liveness->timeout_ms);
}

void pfi_liveness_beat(struct pfi_liveness *liveness, unsigned thread)
{
	const uint64_t deadline_ms = atomic_load_explicit(&liveness->score->thread_slots[thread].deadline_ms,
	                                                  memory_order_relaxed);

	if (deadline_ms > 0 && deadline_ms < deadline_after(pfi_now_ms(), liveness->timeout_ms))
		pfi_liveness_begin(liveness, thread);
}

void pfi_liveness_extend(struct pfi_liveness *liveness, unsigned thread, uint64_t more_ms)
{
	store_deadline(liveness, thread, deadline_after(pfi_now_ms(), more_ms));
}

struct pfi_pause pfi_liveness_pause(struct pfi_liveness *liveness, unsigned thread)
{
	const struct pfi_pause pause = {
		.deadline_ms = atomic_load_explicit(&liveness->score->thread_slots[thread].deadline_ms,
		                                    memory_order_relaxed),
		.since_ms = pfi_now_ms(),
	};

	pfi_liveness_end(liveness, thread);
	return pause;
}

void pfi_liveness_resume(struct pfi_liveness *liveness, unsigned thread, struct pfi_pause pause)
{
	if (pause.deadline_ms == 0)
		return;
	const uint64_t waited_ms = pfi_now_ms() - pause.since_ms;
	store_deadline(liveness, thread, pause.deadline_ms == PFI_NO_DEADLINE ? PFI_NO_DEADLINE :
	                                                                        pause.deadline_ms + waited_ms);
}
