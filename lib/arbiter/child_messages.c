/* Reads the messages that workers send over their control channels (ready, retire, shortage), and passes them to
 * the model. */
#include "arbiter/child_messages.h"

#include "arbiter/arbiter.h"
#include "arbiter/child_actions.h"
#include "arbiter/flood_control.h"
#include "arbiter/queues.h"
#include "arbiter/shortages.h"
#include "model/message.h"
#include "os/control_channel.h"

#include <errno.h>

enum {
	MESSAGES_A_TURN = 16,
	MESSAGES_MAX = 500, /* of one process, which needs a handful, and                  */
	MESSAGE_MS = 100,   /* one more for each period: a shortage may begin and end often */
};

/* Log when a pool is complete: after the start, and whenever workers were missing. */
static void log_ready(struct prefork_arbiter *arbiter, unsigned pool)
{
	const uint32_t wanted = pfi_pool_desired_workers(&arbiter->models[pool]);

	if (arbiter->pools[pool].ready_logged >= wanted || pfi_pool_serving(arbiter, pool) < wanted)
		return;
	arbiter->pools[pool].ready_logged = wanted;
	pfi_pool_log(arbiter, pool, PREFORK_LOG_INFO, "pool_ready", PFI_PAIRS(PREFORK_NUMBER("workers", wanted)),
		     "Pool %s: %u of %u workers ready", arbiter->pools[pool].name, wanted, wanted);
}

static void process_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	const struct pfi_order order = { .event = PFI_EVENT_READY, .slot = process->slot };
	const enum pfi_state before = pfi_process_slot(process)->state;

	pfi_child_apply(arbiter, process->pool, &order, now_ms);
	if (before != PFI_STATE_BOOTING || pfi_process_slot(process)->state != PFI_STATE_SERVING)
		return;
	log_ready(arbiter, process->pool);
	PFI_HOOKS(arbiter, worker_ready, arbiter, process);
}

/* If it still accepts, it keeps its state: the plan spawns its replacement, then has it drain. */
static void process_retiring(struct prefork_arbiter *arbiter, struct prefork_process *process,
			     bool still_accepts, uint64_t now_ms)
{
	struct pfi_slot *const slot = pfi_process_slot(process);

	if (slot->state != PFI_STATE_SERVING && slot->state != PFI_STATE_DUMPING)
		return;
	slot->wants_retire = true;
	if (!still_accepts)
		pfi_child_drains(arbiter, process, now_ms);
}

static void process_message(struct prefork_arbiter *arbiter, struct prefork_process *process,
			    const struct pfi_message *message, uint64_t now_ms)
{
	switch (message->type) {
	case PFI_MESSAGE_READY:
		process_ready(arbiter, process, now_ms);
		break;
	case PFI_MESSAGE_FAILED:
		pfi_process_set_exit_note(process, message->text);
		break;
	case PFI_MESSAGE_RETIRING:
		if (pfi_process_slot(process)->state == PFI_STATE_QUITTING)
			break; /* the worker reports the arbiter's own SIGQUIT as its reason */
		pfi_process_set_exit_note(process, message->text);
		process_retiring(arbiter, process, message->value == 1, now_ms);
		break;
	case PFI_MESSAGE_SHORTAGE:
		pfi_shortage_reported(arbiter, process, message->value, now_ms);
		break;
	case PFI_MESSAGE_SHORTAGE_OVER:
		pfi_shortage_ended(process, now_ms);
		break;
	case PFI_MESSAGE_ALIVE:
		pfi_queue_worker_responded(process);
		break;
	default: /* a newer version, or hostile */
		break;
	}
}

void pfi_child_receive(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	struct pfi_message message;

	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		const int r = pfi_channel_receive(process->channel, &message);

		if (r == -EAGAIN)
			return;
		if (r == -EPIPE ||
		    ++process->messages_received > MESSAGES_MAX + (now_ms - process->spawned_ms) / MESSAGE_MS) {
			if (r != -EPIPE)
				pfi_flood_log(process, "it sends too many messages; they are not read any more");
			pfi_loop_remove(arbiter, process->channel);
			return;
		}
		if (r == 0)
			process_message(arbiter, process, &message, now_ms);
	}
}
