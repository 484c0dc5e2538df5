/* Suspends and resumes requests, and finds out whether the client is gone. */
#include "http/suspend.h"

#include "base/required.h"

#include <prefork/error.h>
#include <prefork/service.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>

/* Why the request cannot be suspended now. */
static int refuse_suspend(const struct prefork_request *request, uint8_t run)
{
	if (run > PFI_RUN_RETURNED)
		return prefork_fail(-EALREADY, "the request is suspended already");
	if (run != PFI_RUN_RUNS)
		return prefork_fail(-EINVAL, "only handle, resumed and a pull callback may suspend a request");
	if (request->response.stage == PFI_STAGE_DONE || request->response.is_closed)
		return prefork_fail(-EALREADY, "the response has ended");
	return request->error;
}

int prefork_request_suspend(struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);

	int r = refuse_suspend(request, atomic_load(&request->run));

	if (r < 0)
		return r;
	atomic_store(&request->run, PFI_RUN_SUSPENDING); /* first: an event may follow at once */
	r = prefork_connection_watch(request->connection, request->http->config.suspend_timeout_ms);
	if (r < 0)
		atomic_store(&request->run, PFI_RUN_RUNS);
	else
		(void)atomic_fetch_add_explicit(&request->http->suspended, 1, memory_order_relaxed);
	return r;
}

/* Under `output`, because the first thread may end the response at this moment. */
enum prefork_next pfi_suspend_next(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;
	uint64_t wait_ms = 0;

	(void)pthread_mutex_lock(&request->output);
	const bool has_output = prefork_connection_pending(request->connection) > 0;
	if (has_output)
		wait_ms = pfi_pending_output_begin_wait(&request->pending, config->write_timeout_ms, config->response_rate);
	(void)pthread_mutex_unlock(&request->output);
	if (!has_output)
		return PREFORK_AGAIN;
	prefork_connection_set_deadline(request->connection, wait_ms > 0 ? wait_ms : 1); /* 0 would be no deadline */
	return PREFORK_WAIT_WRITABLE;
}

/* The connection must not be touched after it is resumed. */
static int resume(struct prefork_request *request)
{
	uint8_t run = PFI_RUN_SUSPENDING;

	if (atomic_compare_exchange_strong(&request->run, &run, PFI_RUN_RESUMED_EARLY))
		return 0;
	if (run == PFI_RUN_SUSPENDED) {
		const enum prefork_next next = pfi_suspend_next(request);

		if (atomic_compare_exchange_strong(&request->run, &run, PFI_RUN_RESUMED)) {
			prefork_connection_resume(request->connection, next);
			return 0;
		}
	}
	if (run == PFI_RUN_ABANDONED)
		return 0;
	if (run > PFI_RUN_RETURNED)
		return prefork_fail(-EALREADY, "the request was resumed already");
	return prefork_fail(-EINVAL, "the request is not suspended");
}

/* The counter is in memory that stays until the process ends, while the worker may be freed as soon as all requests are
 * resumed or abandoned. */
int prefork_request_resume(struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);

	struct pfi_http *const http = request->http;

	(void)atomic_fetch_add(&http->resumers, 1);
	const int r = resume(request);
	(void)atomic_fetch_sub(&http->resumers, 1);
	return r;
}

enum prefork_next pfi_suspend_begin(struct prefork_request *request)
{
	uint8_t run = PFI_RUN_SUSPENDING;

	request->phase = PFI_PHASE_SUSPENDED;
	prefork_connection_set_deadline(request->connection, 0);
	if (atomic_compare_exchange_strong(&request->run, &run, PFI_RUN_SUSPENDED))
		return PREFORK_SUSPENDED;

	const enum prefork_next next = pfi_suspend_next(request);

	if (prefork_connection_error(request->connection) == 0)
		return next;
	/* After an error the connection would be closed without `resumed`; one that is resumed later is not. */
	atomic_store(&request->run, PFI_RUN_RESUMED);
	prefork_connection_resume(request->connection, PREFORK_WAIT_WRITABLE);
	return PREFORK_SUSPENDED;
}

void pfi_suspend_end(struct prefork_request *request)
{
	prefork_connection_unwatch(request->connection);
	(void)atomic_fetch_sub_explicit(&request->http->suspended, 1, memory_order_relaxed);
	pfi_run_begin(request);
}

bool pfi_suspend_abandon(struct prefork_request *request, bool at_end)
{
	struct pfi_http *const http = request->http;
	uint8_t run = PFI_RUN_SUSPENDED;

	if (!atomic_compare_exchange_strong(&request->run, &run, PFI_RUN_ABANDONED)) {
		if (!at_end || run <= PFI_RUN_RETURNED)
			return false;
		atomic_store(&request->run, PFI_RUN_ABANDONED);
	}
	(void)pthread_mutex_lock(&http->lock);
	request->next = http->abandoned;
	http->abandoned = request;
	(void)pthread_mutex_unlock(&http->lock);
	return true;
}

void pfi_suspend_await_resumers(struct pfi_http *http)
{
	while (atomic_load(&http->resumers) > 0)
		(void)sched_yield();
}

/* POLLRDHUP: unread input, such as a pipelined request, does not hide the end of file, as it would from recv(2). */
bool prefork_request_is_abandoned(struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, true);

	struct pollfd client = { .fd = prefork_connection_fd(request->connection), .events = POLLRDHUP };

	if (request->error == -ECONNRESET || atomic_load(&request->is_client_gone))
		return true;
	if (poll(&client, 1, 0) <= 0)
		return false;
	return (client.revents & (POLLHUP | POLLERR)) != 0 ||
	       ((client.revents & POLLRDHUP) != 0 && request->http->config.client_gone_on_fin);
}
