#include "worker/accept_shortage.h"

#include "listener/accept_error.h"
#include "model/message.h"
#include "os/clock.h"
#include "os/control_channel.h"
#include "worker/worker.h"

#include <prefork/strategy.h>

#include <errno.h>
#include <sys/resource.h>

enum {
	RETRY_MS = 500,
	FDS_PER_CONNECTION = 4, /* the socket, two spool files, one descriptor of the application */
};

/* The worker has so many connections that RLIMIT_NOFILE is reached without a leak: a replacement would not help. */
static bool is_load(const struct prefork_worker *worker)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	       prefork_worker_connections(worker) * FDS_PER_CONNECTION >= limit.rlim_cur;
}

static int message_value(const struct prefork_worker *worker, int error)
{
	if (error != EMFILE)
		return error;
	return error | PFI_SHORTAGE_OWN | (is_load(worker) ? PFI_SHORTAGE_LOAD : 0);
}

void pfi_shortage_begin(struct prefork_worker *worker, int error)
{
	/* Descriptors and memory are the same for all listeners, so all are paused. */
	worker->paused_until_ms = pfi_now_ms() + RETRY_MS;
	atomic_store(&worker->shortage, message_value(worker, error));
	pfi_shortage_publish(worker);
}

void pfi_shortage_publish(struct prefork_worker *worker)
{
	atomic_store(&worker->shortage_unreported, true);
	pfi_worker_wake(worker);
}

bool pfi_shortage_persists(struct prefork_worker *worker, uint64_t now_ms)
{
	if (worker->paused_until_ms == 0)
		return false;
	if (now_ms < worker->paused_until_ms)
		return true;
	const int error = pfi_accept_probe(worker->context->channel);
	if (error == 0) {
		pfi_shortage_end(worker);
		return false;
	}
	worker->paused_until_ms = now_ms + RETRY_MS;
	return true;
}

void pfi_shortage_end(struct prefork_worker *worker)
{
	worker->paused_until_ms = 0;
	atomic_store(&worker->shortage, 0);
	pfi_shortage_publish(worker);
}

void pfi_shortage_report(struct prefork_worker *worker)
{
	if (worker->orphan || !atomic_exchange(&worker->shortage_unreported, false))
		return;
	const int shortage = atomic_load(&worker->shortage);
	const uint32_t type = shortage ? PFI_MESSAGE_SHORTAGE : PFI_MESSAGE_SHORTAGE_OVER;

	/* If the channel is full, the next call sends it. */
	if (pfi_channel_send(worker->context->channel, type, (uint32_t)shortage, NULL) < 0)
		atomic_store(&worker->shortage_unreported, true);
}
