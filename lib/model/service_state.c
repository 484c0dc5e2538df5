/* Writes the messages for the service manager from the state of the arbiter. */
#include "model/service_state.h"

#include "model/deadline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void pfi_service_reload_begins(struct pfi_service *service, uint64_t monotonic_us)
{
	service->is_reloading = service->owes_reloading = true;
	service->owes_verdict = service->has_verdict = false; /* of a reload that this one supersedes */
	service->reload_us = monotonic_us;
	service->extend_at_ms = 0;
}

void pfi_service_reload_ends(struct pfi_service *service, const char *verdict, const char *why, bool others)
{
	if (!service->has_verdict)
		(void)snprintf(service->verdict, sizeof service->verdict, "last reload %s%s%s", verdict,
			       *why != '\0' ? ": " : "", why);
	service->has_verdict = true;
	if (others)
		return;
	service->is_reloading = false;
	service->owes_verdict = true;
	service->extend_at_ms = 0;
}

void pfi_service_replaced(struct pfi_service *service, int main_pid)
{
	service->main_pid = main_pid;
	service->owes_main_pid = true;
}

static bool is_complete(const struct pfi_service_now *now)
{
	for (size_t i = 0; i < now->pool_count; i++) {
		if (now->pools[i].serving < now->pools[i].wanted)
			return false;
	}
	return true;
}

static bool boots(const struct pfi_service_now *now)
{
	for (size_t i = 0; i < now->pool_count; i++) {
		if (now->pools[i].boots)
			return true;
	}
	return false;
}

bool pfi_service_serves(const struct pfi_service_now *now)
{
	for (size_t i = 0; i < now->pool_count; i++) {
		const struct pfi_service_pool *const pool = &now->pools[i];

		if (pool->serving < pool->wanted && !pool->is_degraded)
			return false;
	}
	return true;
}

static const char *state_of(const struct pfi_service *service, const struct pfi_service_now *now)
{
	return now->stops		   ? "Stopping" :
	       !service->is_ready	   ? "Starting" :
	       service->is_reloading	   ? "Reloading" :
	       is_complete(now)		   ? "Serving" :
					     "Degraded";
}

/* One line: a newline in a name or a reason would begin another key. */
static void describe(const struct pfi_service *service, const struct pfi_service_now *now,
		     char status[PFI_SERVICE_STATUS_MAX])
{
	struct pfi_text text;

	pfi_text_init(&text, status, PFI_SERVICE_STATUS_MAX);
	pfi_text_add(&text, state_of(service, now));
	for (size_t i = 0; i < now->pool_count; i++) {
		const struct pfi_service_pool *const pool = &now->pools[i];

		pfi_text_add(&text, i == 0 ? ": " : ", ");
		pfi_text_add_line(&text, pool->name, strlen(pool->name));
		pfi_text_format(&text, " %" PRIu32 " of %" PRIu32 " workers ready", pool->serving, pool->wanted);
	}
	if (service->verdict[0] != '\0' && !service->is_reloading && !now->stops) {
		pfi_text_add(&text, "; ");
		pfi_text_add_line(&text, service->verdict, strlen(service->verdict));
	}
}

/* `key` lines, then the status. */
static bool write_status(struct pfi_service *service, const struct pfi_service_now *now, const char *keys, struct pfi_text *ret)
{
	describe(service, now, service->status);
	service->status_at_ms = now->now_ms;
	pfi_text_format(ret, "%sSTATUS=%s", keys, service->status);
	return true;
}

static bool write_ready(struct pfi_service *service, const struct pfi_service_now *now, struct pfi_text *ret)
{
	if (!service->is_ready)
		service->ping_at_ms = now->now_ms; /* systemd expects the first one from now on */
	service->is_ready = true;
	service->owes_verdict = false;
	service->extend_at_ms = 0;
	return write_status(service, now, "READY=1\n", ret);
}

static bool write_reloading(struct pfi_service *service, const struct pfi_service_now *now, struct pfi_text *ret)
{
	const bool is_reloading = service->is_reloading;
	char keys[80];

	service->owes_reloading = false;
	service->is_reloading = true; /* if it has failed already, the next message says so */
	(void)snprintf(keys, sizeof keys, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n", service->reload_us);
	(void)write_status(service, now, keys, ret);
	service->is_reloading = is_reloading;
	return true;
}

/* What changes the state of the unit. */
static bool next_state(struct pfi_service *service, const struct pfi_service_now *now, struct pfi_text *ret)
{
	if (now->stops) {
		if (service->is_stopping)
			return false;
		service->is_stopping = true;
		service->extend_at_ms = 0;
		return write_status(service, now, "STOPPING=1\n", ret);
	}
	if (!service->is_ready) {
		service->owes_reloading = false; /* a reload during the start is part of it */
		return !service->is_reloading && pfi_service_serves(now) && write_ready(service, now, ret);
	}
	if (service->owes_reloading)
		return write_reloading(service, now, ret);
	return service->owes_verdict && write_ready(service, now, ret);
}

/* A start takes time only while a worker boots: boot_timeout bounds that. */
static bool takes_time(const struct pfi_service *service, const struct pfi_service_now *now)
{
	return now->stops || service->is_reloading || (!service->is_ready && boots(now));
}

static bool next_extension(struct pfi_service *service, const struct pfi_service_now *now, struct pfi_text *ret)
{
	if (!takes_time(service, now)) {
		service->extend_at_ms = 0;
		return false;
	}
	if (service->extend_at_ms == 0)
		service->extend_at_ms = now->now_ms + PFI_SERVICE_AGAIN_MS;
	if (now->now_ms < service->extend_at_ms)
		return false;
	service->extend_at_ms = now->now_ms + PFI_SERVICE_AGAIN_MS;
	pfi_text_format(ret, "EXTEND_TIMEOUT_USEC=%d000", PFI_SERVICE_EXTEND_MS);
	return true;
}

static bool next_ping(struct pfi_service *service, const struct pfi_service_now *now, struct pfi_text *ret)
{
	if (service->watchdog_ms == 0 || !service->is_ready || now->now_ms < service->ping_at_ms)
		return false;
	service->ping_at_ms = now->now_ms + service->watchdog_ms;
	pfi_text_add(ret, "WATCHDOG=1");
	return true;
}

/* The back-off of restarts starts anew after a server that was healthy. */
static bool next_reset(struct pfi_service *service, const struct pfi_service_now *now, struct pfi_text *ret)
{
	if (service->has_reset || !service->is_ready || now->stops)
		return false;
	if (!is_complete(now)) {
		service->complete_since_ms = 0;
		return false;
	}
	if (service->complete_since_ms == 0)
		service->complete_since_ms = now->now_ms;
	if (now->now_ms - service->complete_since_ms < now->healthy_ms)
		return false;
	service->has_reset = true;
	pfi_text_add(ret, "RESTART_RESET=1");
	return true;
}

static bool is_new_status(const struct pfi_service *service, const struct pfi_service_now *now)
{
	char status[PFI_SERVICE_STATUS_MAX];

	describe(service, now, status);
	return strcmp(status, service->status) != 0;
}

bool pfi_service_next(struct pfi_service *service, const struct pfi_service_now *now, struct pfi_text *ret)
{
	if (service->is_replaced)
		return false;
	if (service->owes_main_pid) {
		service->is_replaced = true;
		pfi_text_format(ret, "MAINPID=%d", service->main_pid);
		return true;
	}
	if (next_state(service, now, ret) || next_ping(service, now, ret) || next_extension(service, now, ret) ||
	    next_reset(service, now, ret))
		return true;
	return is_new_status(service, now) && now->now_ms - service->status_at_ms >= PFI_SERVICE_STATUS_MS &&
	       write_status(service, now, "", ret);
}

uint64_t pfi_service_due_ms(const struct pfi_service *service, const struct pfi_service_now *now)
{
	uint64_t due_ms = service->extend_at_ms;

	if (service->is_replaced)
		return 0;
	if (service->watchdog_ms != 0 && service->is_ready)
		due_ms = pfi_earlier_ms(due_ms, service->ping_at_ms);
	if (service->complete_since_ms != 0 && !service->has_reset && !now->stops)
		due_ms = pfi_earlier_ms(due_ms, service->complete_since_ms + now->healthy_ms);
	if (is_new_status(service, now))
		due_ms = pfi_earlier_ms(due_ms, service->status_at_ms + PFI_SERVICE_STATUS_MS);
	return due_ms;
}
