/* One turn of the arbiter: events, health checks, supervisor, plan, orders, timer. docs/architecture.md has the
 * drawing. */
#include "arbiter/turn.h"

#include "arbiter/arbiter.h"
#include "arbiter/child_actions.h"
#include "arbiter/children.h"
#include "arbiter/events.h"
#include "arbiter/fd_store.h"
#include "arbiter/generations.h"
#include "arbiter/health.h"
#include "arbiter/hook_calls.h"
#include "arbiter/notify.h"
#include "arbiter/reload.h"
#include "arbiter/reuseport_sets.h"
#include "arbiter/shortages.h"
#include "arbiter/signals.h"

/* A plan that returns orders without end would be a bug of the model: the arbiter then continues in the next turn. */
enum { ROUNDS_MAX = 64 };

/* The watchdog timer reports the first deadline of a worker. Later ones, and soft timeouts, are in next_ms. */
static void check_health(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid == 0)
			continue;

		const struct pfi_slot *const slot = pfi_process_slot(process);

		if (slot->expired != 0 || pfi_deadline_is_past(slot->next_ms, now_ms))
			pfi_health_check(arbiter, process, now_ms);
	}
}

static void follow_phase(struct prefork_arbiter *arbiter, enum pfi_server_phase phase, uint64_t now_ms)
{
	if (phase == PFI_PHASE_RUNNING)
		return;
	if (!arbiter->logged_stop) {
		arbiter->logged_stop = true;
		pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "stop", PFI_NO_PAIRS, "Shutting down: Master");
		PFI_HOOKS(arbiter, stopping, arbiter);
		pfi_upgrade_stopping(arbiter, now_ms);
	}
	if (phase >= PFI_PHASE_DRAINING)
		pfi_listener_table_release_all(arbiter);
}

/* If one fork fails, the others of this plan would fail, too: the model decides again first. If an event ends the
 * server (phase changes), no further worker is spawned. */
static void carry_out(struct prefork_arbiter *arbiter, unsigned pool,
		      const struct pfi_orders *orders, uint64_t now_ms)
{
	const enum pfi_server_phase phase = arbiter->supervisor.phase;
	bool can_spawn = true;

	for (uint32_t i = 0; i < orders->count; i++) {
		const struct pfi_order *const order = &orders->list[i];

		if (order->event != PFI_EVENT_FORKED)
			pfi_child_apply(arbiter, pool, order, now_ms);
		else if (can_spawn && arbiter->supervisor.phase == phase)
			can_spawn = pfi_child_spawn(arbiter, pool, order, now_ms);
	}
}

/* While the server refuses new connections the model counts which are still in the backlogs. */
static void refuse_connections(struct prefork_arbiter *arbiter)
{
	if (arbiter->supervisor.phase != PFI_PHASE_REFUSING)
		return;
	if (!arbiter->refused) { /* the model itself has ended the server */
		arbiter->supervisor.linger_ms = pfi_listener_table_refuse(arbiter);
		arbiter->refused = true;
	}
	pfi_listener_table_count_pending(arbiter);
}

/* Plan and carry out until no order follows. */
static struct pfi_turn plan_and_act(struct prefork_arbiter *arbiter, uint64_t now_ms, uint64_t *wake_ms)
{
	struct pfi_turn turn = { 0 };
	struct pfi_orders orders;
	bool more = true;

	for (int round = 0; more && round < ROUNDS_MAX; round++) {
		refuse_connections(arbiter);
		turn = pfi_supervisor_turn(&arbiter->supervisor, now_ms);
		pfi_reload_decided(arbiter, turn.decision);
		follow_phase(arbiter, turn.phase, now_ms);
		pfi_hooks_report_scale(arbiter);
		*wake_ms = turn.wake_ms;
		more = false;
		for (unsigned p = 0; p < arbiter->pool_count; p++) {
			pfi_supervisor_plan(&arbiter->supervisor, p, now_ms, &orders);
			*wake_ms = pfi_earlier_ms(*wake_ms, orders.wake_ms);
			more |= orders.more || orders.count > 0;
			carry_out(arbiter, p, &orders, now_ms);
		}
	}
	if (more)
		*wake_ms = now_ms + 1;
	return turn;
}

/* Only the main process speaks to the service manager, and an arbiter that was replaced does not stop the service. */
static uint64_t notify(struct prefork_arbiter *arbiter, enum pfi_server_phase phase, uint64_t now_ms)
{
	if (!pfi_predecessor_is_over(arbiter))
		return 0;
	if (pfi_upgrade_is_leaving(arbiter))
		phase = PFI_PHASE_RUNNING;

	const uint64_t wake_ms = pfi_notify_turn(arbiter, phase, now_ms);

	return pfi_earlier_ms(wake_ms, pfi_fd_store_turn(arbiter, now_ms));
}

/* What is due beside the plan. Returns when to call again, 0: no need. */
static uint64_t follow_up(struct prefork_arbiter *arbiter, enum pfi_server_phase phase, uint64_t now_ms)
{
	uint64_t wake_ms = pfi_reload_turn(arbiter, now_ms); /* the plan may have begun a stop */

	wake_ms = pfi_earlier_ms(wake_ms, pfi_orphans_turn(arbiter, now_ms));
	wake_ms = pfi_earlier_ms(wake_ms, pfi_upgrade_turn(arbiter, now_ms));
	wake_ms = pfi_earlier_ms(wake_ms, pfi_queries_turn(arbiter, now_ms));
	wake_ms = pfi_earlier_ms(wake_ms, notify(arbiter, phase, now_ms));
	wake_ms = pfi_earlier_ms(wake_ms, pfi_predecessor_turn(arbiter, now_ms));
	wake_ms = pfi_earlier_ms(wake_ms, pfi_killed_turn(arbiter, now_ms)); /* after what may kill */
	wake_ms = pfi_earlier_ms(wake_ms, pfi_upgrade_remove_pidfile(arbiter, now_ms));
	return pfi_earlier_ms(wake_ms, pfi_children_drain_due(arbiter, now_ms));
}

bool pfi_turn_run(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	pfi_events_process(arbiter, now_ms);
	pfi_requests_process(arbiter, now_ms);
	check_health(arbiter, now_ms);
	(void)pfi_reload_turn(arbiter, now_ms);

	const uint64_t shortage_ms = pfi_shortages_turn(arbiter, now_ms);
	const struct pfi_turn turn = plan_and_act(arbiter, now_ms, &wake_ms);

	wake_ms = pfi_earlier_ms(wake_ms, shortage_ms);
	wake_ms = pfi_earlier_ms(wake_ms, follow_up(arbiter, turn.phase, now_ms));

	const uint64_t hold_ms = turn.finished ? pfi_upgrade_holds(arbiter, now_ms) : 0;

	if (turn.finished) {
		pfi_loop_arm(arbiter, hold_ms);
		return hold_ms == 0;
	}
	wake_ms = pfi_earlier_ms(wake_ms, pfi_reuseport_turn(arbiter, now_ms));
	pfi_generations_sweep(arbiter);
	pfi_supervisor_set_next_turn(&arbiter->supervisor, wake_ms);
	pfi_loop_arm(arbiter, wake_ms);
	return false;
}
