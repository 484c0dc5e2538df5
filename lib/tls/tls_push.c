/* Sends changed certificates and ticket keys to running workers, and takes them there. */
#include "tls/tls_push.h"

#include "tls/tls_log.h"
#include "tls/tls_server.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/worker.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int pfi_tls_push_add(struct prefork_tls *tls, struct prefork_process *process, struct pfi_tls_material *material)
{
	if (tls->process_count == tls->process_capacity) {
		const size_t capacity = tls->process_capacity > 0 ? 2 * tls->process_capacity : 16;
		struct pfi_tls_process *const more = realloc(tls->processes, capacity * sizeof *more);

		if (more == NULL)
			return -ENOMEM;
		tls->processes = more;
		tls->process_capacity = capacity;
	}
	tls->processes[tls->process_count++] = (struct pfi_tls_process){
		.process = process, .material = material, .version = material->version, .keys = tls->keys_version,
	};
	return 0;
}

void pfi_tls_push_remove(struct prefork_tls *tls, const struct prefork_process *process)
{
	for (size_t i = 0; i < tls->process_count; i++) {
		if (tls->processes[i].process == process) {
			tls->processes[i] = tls->processes[--tls->process_count];
			return;
		}
	}
}

bool pfi_tls_push_uses(const struct prefork_tls *tls, const struct pfi_tls_material *material)
{
	for (size_t i = 0; i < tls->process_count; i++) {
		if (tls->processes[i].material == material)
			return true;
	}
	return false;
}

static bool is_current(const struct prefork_tls *tls, const struct pfi_tls_process *process)
{
	return process->version == process->material->version && process->keys == tls->keys_version;
}

/* Once, until it succeeds. */
static void log_refused(struct prefork_tls *tls)
{
	if (!tls->push_is_refused)
		pfi_tls_arbiter_log(tls->arbiter, PREFORK_LOG_ERROR, "tls_push_failed",
				    "Certificates and keys cannot be sent to workers: %s", prefork_error());
	tls->push_is_refused = true;
}

/* To all workers that have this material. One memfd serves all. */
static bool push_material(struct prefork_tls *tls, const struct pfi_tls_material *material, const struct pfi_tls_records *keys)
{
	char topic[32];
	const int fd = pfi_tls_records_seal(&material->records, keys);
	bool complete = fd >= 0;

	if (fd < 0) {
		log_refused(tls);
		return false;
	}
	tls->push_is_refused = false;
	(void)snprintf(topic, sizeof topic, "tls %" PRIu64, material->version);
	for (size_t i = 0; i < tls->process_count; i++) {
		struct pfi_tls_process *const process = &tls->processes[i];

		if (process->material != material || is_current(tls, process))
			continue;
		const int r = prefork_process_send(process->process, topic, fd);

		if (r == -EAGAIN) {
			complete = false;
			continue;
		}
		process->version = material->version; /* if it has failed, the worker has exited */
		process->keys = tls->keys_version;
	}
	(void)close(fd);
	return complete;
}

static bool any_needs(const struct prefork_tls *tls, const struct pfi_tls_material *material)
{
	for (size_t i = 0; i < tls->process_count; i++) {
		if (tls->processes[i].material == material && !is_current(tls, &tls->processes[i]))
			return true;
	}
	return false;
}

bool pfi_tls_push(struct prefork_tls *tls)
{
	struct pfi_tls_records keys = { 0 };
	bool complete = pfi_tls_ticket_keys_write(&tls->keys, &keys) == 0;

	for (const struct pfi_tls_material *material = tls->materials; complete && material != NULL; material = material->next) {
		if (any_needs(tls, material))
			complete = push_material(tls, material, &keys) && complete;
	}
	pfi_tls_records_clear(&keys);
	return complete;
}

static void replace(struct prefork_tls *tls, struct prefork_worker *worker, const struct pfi_tls_records *records)
{
	struct pfi_tls_contexts *contexts;
	const struct pfi_tls_settings *const values = pfi_tls_settings(prefork_worker_settings(worker));
	const int r = pfi_tls_contexts_create(values, records, &tls->worker.tickets, &contexts);

	if (r == 0)
		pfi_tls_worker_replace(&tls->worker, contexts);
	else
		pfi_tls_log(worker, PREFORK_LOG_ERROR, "tls_replace_failed", NULL,
			    "Changed certificates cannot be used, the old ones stay in force: %s", prefork_error());
}

/* A message from before the fork may still be in the channel: contexts of the same version are not made again. */
void pfi_tls_push_receive(struct prefork_tls *tls, struct prefork_worker *worker, const char *topic, int fd)
{
	struct pfi_tls_records records = { 0 };
	struct pfi_tls_ticket_keys keys = { .count = 0 };
	uint64_t version;

	if (sscanf(topic, "tls %" SCNu64, &version) != 1 || tls->worker.contexts == NULL || tls->worker.contexts->is_application)
		return;
	if (pfi_tls_records_open(fd, &records) < 0) {
		pfi_tls_log(worker, PREFORK_LOG_ERROR, "tls_replace_failed", NULL,
			    "Changed certificates cannot be used, the old ones stay in force: %s", prefork_error());
		return;
	}
	if (pfi_tls_ticket_keys_read(&keys, &records))
		pfi_tls_tickets_set(&tls->worker.tickets, &keys);
	if (version != tls->worker.version)
		replace(tls, worker, &records);
	tls->worker.version = version;
	OPENSSL_cleanse(&keys, sizeof keys);
	pfi_tls_records_clear(&records);
}
