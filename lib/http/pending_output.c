#include "http/pending_output.h"

#include "http/http_clock.h"
#include "http/rate.h"
#include "http/request.h"

#include <prefork/error.h>
#include <prefork/log.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

enum {
	FILE_PIECE = 256 * 1024,
	TURN_PIECES = 4, /* are sent before other connections have a turn */
};

static const char no_room[] =
	"as much of the response waits for its client as may be kept, and in an event loop nobody can wait for it: "
	"give it by prefork_response_pull() (in WSGI, yield it), or set threads";

/* A part may be kept already when there is no memory for the next: they must not be sent anew. */
static int keep_in_memory(struct prefork_request *request, const struct iovec *pieces, int count)
{
	for (int i = 0; i < count; i++)
		if (pieces[i].iov_len > 0 &&
		    prefork_connection_write(request->connection, pieces[i].iov_base, pieces[i].iov_len) ==
			    PREFORK_CLOSE)
			return pfi_pending_output_discard(request, -ECONNRESET);
	return 0;
}

/* All that is pending counts, wherever it comes from. */
static bool fits_memory(const struct prefork_request *request, size_t size)
{
	return !pfi_spool_has_more(&request->late) &&
	       size + prefork_connection_pending(request->connection) <= request->http->config.response_memory;
}

/* A thread of the program's own could wait in an event loop without threads, too; but then the loop would wait for
 * that thread, when the request is to end. */
static bool may_wait(const struct prefork_request *request)
{
	return prefork_worker_may_block(request->worker) && prefork_connection_may_block(request->connection);
}

/* What the host had at once we can have, too, where the alternative is worse: nobody may wait, or the piece was
 * pulled, and more is not asked for before it was taken. What the host goes on to make has a bound. */
static bool may_exceed_memory(const struct prefork_request *request)
{
	if (pfi_spool_has_more(&request->late))
		return false;
	return request->response.pull != NULL || (request->response.sent == 0 && !may_wait(request));
}

int pfi_pending_output_add(struct prefork_request *request, const struct iovec *pieces, int count, size_t size)
{
	if (fits_memory(request, size))
		return keep_in_memory(request, pieces, count);
	const int r = pfi_spool_append(&request->late, &request->http->config.place, pieces, count);
	if (r < 0 && r != -ENOBUFS)
		pfi_request_cannot_keep(request);
	if (r < 0 && may_exceed_memory(request))
		return keep_in_memory(request, pieces, count);
	return r;
}

int pfi_pending_output_send(struct prefork_request *request)
{
	struct pfi_spool *const late = &request->late;

	for (int i = 0; pfi_spool_has_more(late); i++) {
		const uint64_t left = late->length - late->at;
		int64_t offset = (int64_t)late->at;
		const ptrdiff_t n = i == TURN_PIECES ? -EAGAIN :
			prefork_connection_send_file(request->connection, late->fd, &offset,
			                             left < FILE_PIECE ? (size_t)left : FILE_PIECE);
		if (n == -EAGAIN)
			return -EAGAIN;
		if (n <= 0)
			return pfi_pending_output_discard(request, n < 0 ? (int)n : -EIO);
		late->at += (uint64_t)n;
	}
	return 0;
}

uint64_t pfi_pending_output_left(const struct prefork_request *request)
{
	int in_kernel = 0; /* stays so where the kernel does not tell */

	(void)ioctl(prefork_connection_fd(request->connection), SIOCOUTQ, &in_kernel);
	return prefork_connection_pending(request->connection) + (request->late.length - request->late.at) +
	       (uint64_t)in_kernel;
}

uint64_t pfi_late_begin_wait(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;

	request->unsent = pfi_pending_output_left(request);
	request->wait_us = pfi_http_now_us();
	return pfi_rate_patience_ms(config->write_timeout_ms, config->response_rate, request->taken,
	                            request->waited_us / 1000);
}

bool pfi_late_end_wait(struct prefork_request *request)
{
	const uint64_t left = pfi_pending_output_left(request);
	const bool has_taken = left < request->unsent;

	request->waited_us += pfi_http_now_us() - request->wait_us;
	request->taken += has_taken ? request->unsent - left : 0;
	return has_taken;
}

int pfi_pending_output_wait(struct prefork_request *request)
{
	uint64_t patience_ms;
	bool has_taken;
	int r = -ETIMEDOUT;

	if (!may_wait(request))
		return pfi_request_handler_failed(request, prefork_fail(-ENOBUFS, no_room));
	do {
		patience_ms = pfi_late_begin_wait(request);
		if (patience_ms == 0)
			return pfi_pending_output_discard(request, prefork_fail(-ETIMEDOUT, "the client takes its response too slowly"));
		r = prefork_connection_wait(request->connection, PREFORK_WAIT_WRITABLE, patience_ms);
		has_taken = pfi_late_end_wait(request);
	} while (r == -ETIMEDOUT && has_taken); /* slow, but it takes it */
	return r < 0 ? pfi_pending_output_discard(request, r) : 0;
}

int pfi_pending_output_discard(struct prefork_request *request, int error)
{
	request->late.at = request->late.length;
	request->is_cut = true;
	return pfi_request_fail(request, error);
}
