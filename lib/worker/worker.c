/* What a worker knows of itself, and that it serves. */
#include "worker/worker.h"

#include "base/required.h"
#include "model/message.h"
#include "os/control_channel.h"
#include "os/title.h"

#include <prefork/settings.h>

#include <limits.h>

uint64_t pfi_worker_number(const struct prefork_worker *worker, const char *setting, uint64_t fallback)
{
	if (!worker->context->settings)
		return fallback;
	const int64_t number = prefork_settings_int(worker->context->settings, setting);
	return number < 0 ? fallback : (uint64_t)number;
}

void prefork_worker_ready(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	const struct pfi_spawn_context *const context = worker->context;

	if (atomic_exchange(&worker->is_ready, true))
		return;
	pfi_title_set("%s: worker %u [%s] serving", context->program, context->slot, context->pool);
	/* It fails when the arbiter is gone, which the next check will find. */
	(void)pfi_channel_send(context->channel, PFI_MESSAGE_READY, 0, NULL);
}

const struct prefork_settings *prefork_worker_settings(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	return worker->context->settings;
}

struct prefork_log *prefork_worker_log(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	return worker->context->log;
}

const char *prefork_worker_pool(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	return worker->context->pool;
}

unsigned prefork_worker_slot(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, UINT_MAX);
	return worker->context->slot;
}

unsigned prefork_worker_generation(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, 0);
	return worker->context->generation;
}

void prefork_worker_set_user(struct prefork_worker *worker, void *user)
{
	PFI_RETURN_IF_NULL(worker, );
	worker->user = user;
}

void *prefork_worker_user(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	return worker->user;
}

size_t prefork_worker_listeners(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, 0);
	return worker->context->listener_count;
}

struct prefork_listener *prefork_worker_listener(const struct prefork_worker *worker, size_t index)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	return index < worker->context->listener_count ? worker->context->listeners[index] : NULL;
}
