/*
 * Accessors of struct prefork_worker, and functions that any thread may call without taking a lock:
 * wake the first thread, ask to be replaced, report ready. This file calls no other file of its module.
 */
#include "worker/worker.h"

#include "base/required.h"
#include "base/times.h"
#include "model/library_options.h"
#include "model/message.h"
#include "os/control_channel.h"
#include "os/title.h"

#include <prefork/log.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

const struct pfi_library_settings *pfi_worker_settings(const struct prefork_worker *worker)
{
	static const struct pfi_library_settings none = { .worker_connections = 1000, .handshake_timeout_ms = PFI_HANDSHAKE_MS, .orphan_timeout_ms = PFI_ORPHAN_MS };

	return worker->context->settings ? pfi_library_settings(worker->context->settings) : &none;
}

void pfi_worker_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
		    const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	prefork_log_printf(worker->context->log, level, "worker", "%s event=%s pool=%s slot=%u pid=%d", text, event,
			   worker->context->pool, worker->context->slot, (int)getpid());
}

void prefork_worker_ready(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	const struct pfi_spawn_context *const context = worker->context;

	if (atomic_exchange(&worker->is_ready, true))
		return;
	pfi_title_set("%s: worker %u [%s] serving", context->program, context->slot, context->pool);
	/* Fails when the arbiter has exited, which the next prefork_worker_check() finds. */
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

size_t prefork_worker_connections(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, 0);
	return atomic_load_explicit(&worker->connections, memory_order_relaxed);
}

enum prefork_directive prefork_worker_directive(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, PREFORK_QUIT);
	return (enum prefork_directive)atomic_load_explicit(&worker->directive, memory_order_relaxed);
}

void pfi_worker_wake(struct prefork_worker *worker)
{
	const uint64_t one = 1;

	/* EAGAIN means that the counter is full, and then the fd is readable already
	 * (eventfd(2)). */
	(void)!write(worker->wake_fd, &one, sizeof one);
}

void prefork_worker_retire(struct prefork_worker *worker)
{
	if (worker == NULL)
		return; /* no error message: prefork_fail() is not async-signal-safe */
	atomic_store(&worker->wants_retire, true);
	pfi_worker_wake(worker);
}
