/* Sets the alarm of an event loop before it waits, and handles what is due after it. */
#include "worker/event_turn.h"

#include "model/library_options.h"
#include "os/clock.h"
#include "worker/offload_pool.h"
#include "worker/own_fds.h"
#include "worker/worker.h"

enum {
	OFFLOADED_POLL_MS = 100, /* see pfi_connection_resume_offloaded() */
};

int pfi_event_turn_open(struct pfi_event_core *core)
{
	const unsigned threads = pfi_worker_settings(core->worker)->threads;

	return threads > 0 ? pfi_offload_pool_open(core->worker, threads, &core->worker->offload_pool) : 0;
}

void pfi_event_turn_close(struct pfi_event_core *core)
{
	pfi_offload_pool_close(core->worker->offload_pool);
	core->worker->offload_pool = NULL;
}

/* An earlier alarm stays: it costs one spurious wake-up, and setting the timer for each deadline that moves would cost
 * more. */
void pfi_event_turn_set_alarm(struct pfi_event_core *core, uint64_t at_ms)
{
	if (at_ms == 0 || (core->alarm_ms > 0 && core->alarm_ms <= at_ms))
		return;
	core->driver->set_timer(core, at_ms);
	core->alarm_ms = at_ms;
}

void pfi_event_turn_on_timer(struct pfi_event_core *core)
{
	core->alarm_ms = 0;
	core->alarm_fired = true;
	core->polls_offloaded = false;
}

static void check_own_fds(struct pfi_event_core *core)
{
	struct prefork_worker *const worker = core->worker;
	const uint64_t since_ms = pfi_liveness_since_ms(&worker->liveness, 0);

	if (pfi_own_fds_check_is_deferred(worker))
		pfi_own_fds_check(worker, since_ms, false);
	if (pfi_own_fds_check_is_deferred(worker))
		pfi_event_turn_set_alarm(core, since_ms + PFI_OWN_FDS_MS);
}

void pfi_event_turn_begin(struct pfi_event_core *core)
{
	pfi_event_turn_set_alarm(core, pfi_deadline_heap_next_ms(&core->deadlines));
	pfi_event_turn_set_alarm(core, pfi_accept_set_refresh(&core->accept_set));
	if (core->worker->offloaded > 0 && !core->polls_offloaded) {
		core->polls_offloaded = true; /* quiet ones are resumed without waking the loop */
		pfi_event_turn_set_alarm(core, pfi_now_ms() + OFFLOADED_POLL_MS);
	}
	check_own_fds(core);
	core->served_before = core->served;
	core->served = 0;
}

void pfi_event_turn_end(struct pfi_event_core *core)
{
	pfi_event_core_call_again(core);
	if (pfi_worker_has_resumed(core->worker))
		pfi_event_core_resume(core);
	if (core->alarm_fired && pfi_own_fds_check_is_deferred(core->worker))
		pfi_own_fds_check_now(core->worker);
	if (core->alarm_fired)
		pfi_event_core_expire(core);
	core->alarm_fired = false;
	pfi_accept_set_pause(&core->accept_set, pfi_accept_set_full(&core->accept_set));
}
