/*
 * The status of a thread, which it stores in its slot of the scoreboard: busy or idle, activity,
 * number of requests. None of these functions makes a system call, except to set the watchdog timer.
 */
#include "model/library_options.h"
#include "base/required.h"
#include "model/worker_score.h"
#include "worker/own_fds.h"
#include "worker/worker.h"
#include "worker/worker_threads.h"

#include <prefork/error.h>
#include <prefork/worker.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The jitter spreads the replacements of workers that were started at the same time. */
static void set_limit(struct prefork_worker *worker)
{
	const uint64_t max = pfi_worker_settings(worker)->max_requests;
	const uint64_t jitter = pfi_worker_settings(worker)->max_requests_jitter;
	uint64_t random = 0;

	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK); /* on failure: no jitter */
	worker->is_limited = max > 0;
	atomic_init(&worker->requests_left, (int64_t)(max + random % (jitter + 1)));
}

int pfi_thread_status_open(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;

	if (context->thread_slots == 0)
		return prefork_fail(-EINVAL, "the scoreboard entry of this worker has no thread slot");
	worker->threads = context->settings ? pfi_settings_threads(pfi_library_settings(context->settings)) : 0;
	if (worker->threads >= context->thread_slots)
		worker->threads = context->thread_slots - 1;
	worker->tids = calloc(worker->threads + (size_t)1, sizeof *worker->tids);
	if (!worker->tids)
		return prefork_fail(-ENOMEM, "no memory for %u threads", worker->threads);
	pfi_liveness_init(&worker->liveness, context->score, worker->threads + 1, context->watchdog,
	                  pfi_worker_settings(worker)->timeout_ms, pfi_worker_settings(worker)->soft_timeout_ms);
	set_limit(worker);
	return prefork_worker_set_thread(worker, 0);
}

void pfi_thread_status_close(struct prefork_worker *worker)
{
	pfi_liveness_finish(&worker->liveness);
	free(worker->tids);
	worker->tids = NULL;
	pfi_worker_threads_clear_number();
}

/* The slot of the calling thread; NULL: it has no number. */
static struct pfi_thread_slot *own_thread_slot(struct prefork_worker *worker)
{
	const unsigned thread = pfi_worker_thread(worker);

	return thread <= worker->threads ? &worker->liveness.score->thread_slots[thread] : NULL;
}

void prefork_worker_busy(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	const unsigned thread = pfi_worker_thread(worker);

	if (thread <= worker->threads)
		pfi_liveness_begin(&worker->liveness, thread);
}

void prefork_worker_idle(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	const unsigned thread = pfi_worker_thread(worker);

	if (thread > worker->threads)
		return;
	pfi_liveness_end(&worker->liveness, thread);
	/* The beginning of the work is close enough to the time now, and saves reading the
	 * clock. */
	pfi_own_fds_check(worker, pfi_liveness_since_ms(&worker->liveness, thread),
			  thread != 0 || !(worker->strategy.traits & PREFORK_STRATEGY_TURNS));
}

void prefork_worker_beat(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	const unsigned thread = pfi_worker_thread(worker);

	if (thread <= worker->threads)
		pfi_liveness_beat(&worker->liveness, thread);
}

void prefork_request_extend(struct prefork_worker *worker, uint64_t more_ms)
{
	PFI_RETURN_IF_NULL(worker, );

	const unsigned thread = pfi_worker_thread(worker);

	if (thread <= worker->threads)
		pfi_liveness_extend(&worker->liveness, thread, more_ms);
}

void prefork_worker_set_activity(struct prefork_worker *worker, const char *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(worker, );
	PFI_RETURN_IF_NO_BYTES(bytes, size, );

	struct pfi_thread_slot *const thread_slot = own_thread_slot(worker);

	if (!thread_slot)
		return;
	if (size > sizeof thread_slot->activity - 1)
		size = sizeof thread_slot->activity - 1;
	if (size > 0)
		memcpy(thread_slot->activity, bytes, size);
	thread_slot->activity[size] = 0;
}

static void count_request(struct prefork_worker *worker)
{
	struct pfi_thread_slot *const thread_slot = own_thread_slot(worker);

	if (thread_slot) { /* only this thread writes it, so the addition need not be atomic */
		const uint64_t served = atomic_load_explicit(&thread_slot->requests, memory_order_relaxed);

		atomic_store_explicit(&thread_slot->requests, served + 1, memory_order_relaxed);
	}
	if (worker->is_limited && atomic_fetch_sub_explicit(&worker->requests_left, 1, memory_order_relaxed) == 1)
		prefork_worker_retire(worker);
}

void prefork_worker_count_request(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	if (!atomic_load_explicit(&worker->counts_requests, memory_order_relaxed))
		atomic_store_explicit(&worker->counts_requests, true, memory_order_relaxed);
	count_request(worker);
}

void pfi_thread_status_count_closed(struct prefork_worker *worker)
{
	if (!(worker->service.traits & PREFORK_SERVICE_COUNTS) &&
	    !atomic_load_explicit(&worker->counts_requests, memory_order_relaxed))
		count_request(worker);
}
