/* Calls the stages of a connection one after another, and bounds their time. */
#include "worker/stage.h"

#include "base/times.h"
#include "model/library_options.h"
#include "os/clock.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include <assert.h>
#include <errno.h>

void pfi_stage_add(struct prefork_worker *worker, const struct pfi_connection_stage *stage)
{
	size_t count = 0;

	while (worker->stages[count])
		count++;
	assert(count < PFI_STAGES_MAX);
	worker->stages[count] = stage;
}

void pfi_stage_begin(struct prefork_connection *connection)
{
	struct prefork_worker *const worker = connection->worker;

	connection->stage = worker->stages;
	connection->deadline_ms = pfi_now_ms() + pfi_worker_settings(worker)->handshake_timeout_ms;
}

/* What the stages have sent last, such as the end of a handshake, belongs to them: until the client takes it, their time
 * limit applies, and the service is not called. */
static enum prefork_next send_output(struct prefork_connection *connection)
{
	const int r = pfi_connection_has_output(connection) ? pfi_connection_flush(connection) : 0;

	if (r == 0)
		return PREFORK_AGAIN;
	return r == -EAGAIN ? PREFORK_WAIT_WRITABLE : PREFORK_CLOSE;
}

enum prefork_next pfi_stage_proceed(struct prefork_connection *connection)
{
	while (*connection->stage) {
		const enum prefork_next next = (*connection->stage)->proceed(connection);

		connection->requested = (uint8_t)next;
		if (next != PREFORK_AGAIN)
			return next;
		connection->stage++;
	}
	const enum prefork_next next = send_output(connection);
	if (next != PREFORK_AGAIN) {
		connection->requested = (uint8_t)next;
		return next;
	}
	connection->stage = NULL;
	connection->deadline_ms = 0;
	return PREFORK_AGAIN;
}

enum prefork_next pfi_stage_expire(struct prefork_connection *connection)
{
	const struct pfi_connection_stage *const stage = *connection->stage; /* NULL: the end of its output is left */

	connection->deadline_ms = 0;
	if (stage && stage->timed_out && pfi_worker_directive(connection->worker) == PREFORK_CONTINUE)
		stage->timed_out(connection);
	return PREFORK_CLOSE;
}

enum prefork_next pfi_stage_drain(struct prefork_connection *connection)
{
	struct prefork_worker *const worker = connection->worker;
	const uint64_t last_ms = pfi_now_ms() + PFI_LAST_REQUEST_MS;
	uint64_t end_ms = atomic_load(&worker->drain_end_ms);

	if (atomic_load(&worker->empties_queues) && last_ms < end_ms)
		end_ms = last_ms;
	if (end_ms < connection->deadline_ms)
		connection->deadline_ms = end_ms;
	return (enum prefork_next)connection->requested;
}
