/*
 * Reads the PROXY header of a new connection with as many bytes as it surely has, so that what follows it stays in the
 * socket for TLS or the service. A violation closes the connection without a response: the peer is a proxy that is set
 * up in another way, or no proxy.
 */
#include "worker/proxy_stage.h"

#include "base/networks.h"
#include "model/library_options.h"
#include "os/clock.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 }; /* above PFI_PROXY_LINE_MAX, and above a header without large TLVs */

static const char *peer_of(struct prefork_connection *connection)
{
	const char *const peer = prefork_connection_peer(connection, NULL);

	return *peer != '\0' ? peer : "a unix socket";
}

static void log_refused(struct prefork_connection *connection, const char *problem)
{
	struct prefork_worker *const worker = connection->worker;
	uint32_t left_out;

	if (pfi_log_limit_pass(&worker->proxy_refused, pfi_now_ms(), &left_out))
		pfi_worker_log(worker, PREFORK_LOG_WARNING, "proxy_refused",
		               "Connection of %s is closed, its PROXY header is refused: %s left_out=%u",
		               peer_of(connection), problem, (unsigned)left_out);
}

static void log_peer(struct prefork_connection *connection)
{
	struct prefork_worker *const worker = connection->worker;
	uint32_t left_out;

	if (pfi_log_limit_pass(&worker->proxy_peer_refused, pfi_now_ms(), &left_out))
		pfi_worker_log(worker, PREFORK_LOG_WARNING, "proxy_peer_refused",
		               "Connection of %s is closed: it is not in proxy_allow_ips left_out=%u",
		               peer_of(connection), (unsigned)left_out);
}

static void timed_out(struct prefork_connection *connection)
{
	struct prefork_worker *const worker = connection->worker;
	uint32_t left_out;

	if (pfi_log_limit_pass(&worker->proxy_late, pfi_now_ms(), &left_out))
		pfi_worker_log(worker, PREFORK_LOG_WARNING, "proxy_timeout",
		               "Connection of %s is closed: no complete PROXY header arrived in handshake_timeout left_out=%u",
		               peer_of(connection), (unsigned)left_out);
}

static bool is_allowed(const struct prefork_connection *connection)
{
	const struct pfi_networks *const networks = &connection->worker->proxy_peers;
	uint8_t bytes[PFI_ADDRESS_SIZE];

	if (!pfi_peer_bytes(&connection->address, bytes))
		return networks->unix_sockets || networks->all;
	return pfi_networks_have(networks, bytes);
}

static unsigned versions(const struct prefork_worker *worker)
{
	switch (pfi_worker_settings(worker)->proxy_protocol) {
	case PFI_PROXY_MODE_V1:
		return PFI_PROXY_V1;
	case PFI_PROXY_MODE_V2:
		return PFI_PROXY_V2;
	case PFI_PROXY_MODE_AUTO:
		return PFI_PROXY_AUTO;
	case PFI_PROXY_MODE_OFF:
		break;
	}
	return 0;
}

static bool begin(struct prefork_connection *connection)
{
	if (!is_allowed(connection)) {
		log_peer(connection);
		return false;
	}
	struct pfi_proxy *const proxy = calloc(1, sizeof *proxy + FIRST_CAPACITY);
	if (!proxy) {
		log_refused(connection, "memory is exhausted");
		return false;
	}
	proxy->capacity = FIRST_CAPACITY;
	proxy->socket_peer = connection->address;
	pfi_proxy_header_start(&proxy->header, versions(connection->worker));
	connection->proxy = proxy;
	return true;
}

/* Make space for the bytes that are wanted next. They are known to belong to the header, which has at most
 * PFI_PROXY_HEADER_MAX. */
static bool reserve(struct prefork_connection *connection)
{
	struct pfi_proxy *proxy = connection->proxy;
	const size_t wanted = proxy->size + pfi_proxy_header_wanted(&proxy->header);

	if (wanted <= proxy->capacity)
		return true;
	proxy = realloc(proxy, sizeof *proxy + wanted);
	if (!proxy)
		return false;
	proxy->capacity = wanted;
	connection->proxy = proxy;
	return true;
}

/* The error message, or NULL: the connection has ended before its first byte. A balancer that checks whether the port is
 * open does that. */
static const char *ended(const struct prefork_connection *connection)
{
	return connection->proxy->size > 0 ? "the connection ended inside it" : NULL;
}

/* DONE; MORE: wait for input; BAD: close, and `ret_problem` is what to log, or NULL. */
static enum pfi_verdict receive(struct prefork_connection *connection, const char **ret_problem)
{
	enum pfi_verdict verdict = PFI_MORE;

	while (verdict == PFI_MORE) {
		if (!reserve(connection)) {
			*ret_problem = "memory is exhausted";
			return PFI_BAD;
		}
		struct pfi_proxy *const proxy = connection->proxy;
		const ptrdiff_t n = connection->transport->receive(connection, proxy->bytes + proxy->size,
		                                                   pfi_proxy_header_wanted(&proxy->header));

		if (n == -EAGAIN)
			return PFI_MORE;
		if (n <= 0) {
			*ret_problem = ended(connection);
			return PFI_BAD;
		}
		proxy->size += (size_t)n;
		verdict = pfi_proxy_header_feed(&proxy->header, proxy->bytes, proxy->size);
	}
	*ret_problem = connection->proxy->header.problem;
	return verdict;
}

static void copy_address(union pfi_peer_address *to, const struct pfi_proxy_address *from)
{
	*to = (union pfi_peer_address){ .any.sa_family = from->socket.any.sa_family };
	if (from->socket.any.sa_family == AF_INET)
		to->in = from->socket.in;
	else if (from->socket.any.sa_family == AF_INET6)
		to->in6 = from->socket.in6;
}

/* From now on the peer of the connection is the client that the header names. */
static void apply(struct prefork_connection *connection)
{
	struct pfi_proxy *const proxy = connection->proxy;
	union pfi_peer_address destination;

	if (proxy->header.source.size == 0)
		return;
	copy_address(&connection->address, &proxy->header.source);
	copy_address(&destination, &proxy->header.destination);
	connection->peer_known = false;
	connection->port = 0;
	proxy->destination_port = pfi_peer_format(&destination, proxy->destination);
}

static enum prefork_next proceed(struct prefork_connection *connection)
{
	const char *problem = NULL;

	if (!connection->proxy && !begin(connection))
		return PREFORK_CLOSE;
	switch (receive(connection, &problem)) {
	case PFI_MORE:
		return PREFORK_WAIT_READABLE;
	case PFI_DONE:
		apply(connection);
		return PREFORK_AGAIN;
	case PFI_BAD:
		break;
	}
	if (problem)
		log_refused(connection, problem);
	return PREFORK_CLOSE;
}

static const struct pfi_connection_stage stage = { .proceed = proceed, .timed_out = timed_out };

int pfi_proxy_stage_open(struct prefork_worker *worker)
{
	const struct prefork_list *const peers = &pfi_worker_settings(worker)->proxy_allow_ips;
	int r = 0;

	if (versions(worker) == 0)
		return 0;
	for (size_t i = 0; r == 0 && i < peers->count; i++)
		r = pfi_networks_add(&worker->proxy_peers, "proxy_allow_ips", peers->items[i]);
	if (r == 0)
		pfi_stage_add(worker, &stage);
	return r;
}

void pfi_proxy_stage_close(struct prefork_worker *worker)
{
	pfi_networks_clear(&worker->proxy_peers);
}
