/* Receives a request in a uwsgi packet: it becomes the head of HTTP/1 that the proxy has received, in the same buffer. */
#include "http/internal.h"

#include "http/http_clock.h"
#include "http/http_log.h"
#include "http/request.h"
#include "http/uwsgi_head.h"

#include <prefork/service.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPE_LENGTH = 3 }; /* of a byte of a path: "%20" */

bool pfi_uwsgi_is_allowed(struct pfi_http *http, struct prefork_worker *worker, struct prefork_connection *connection)
{
	const char *const peer = prefork_connection_peer(connection, NULL);
	uint32_t left_out;

	if (pfi_networks_have_peer(&http->config.uwsgi_peers, peer))
		return true;
	if (pfi_log_limit_pass(&http->uwsgi_peer_refused, pfi_http_now_us() / 1000, &left_out))
		pfi_http_log(worker, PREFORK_LOG_WARNING, "uwsgi_peer_refused",
		             &(struct prefork_log_pair)PREFORK_NUMBER("left_out", left_out),
		             "Connection of %s is closed: it is not in uwsgi_allow_ips",
		             *peer != '\0' ? peer : "a unix socket");
	return false;
}

static enum pfi_verdict no_memory(struct prefork_request *request)
{
	request->head.http_error = (struct pfi_http_error){ 500, "no memory for the request" };
	return PFI_BAD;
}

/* PATH_INFO and QUERY_STRING, which the proxy has rewritten, replace what the target says. */
static int set_path(struct prefork_request *request, const struct pfi_out *path, struct pfi_span query)
{
	struct pfi_head *const head = &request->head;
	const int64_t at = pfi_request_open_gap(request, path->length);

	if (at < 0)
		return -ENOMEM;
	memcpy(request->in + request->in_from + at, path->bytes, path->length);
	head->path = (struct pfi_span){ (uint32_t)at, query.at };
	head->query = (struct pfi_span){ (uint32_t)at + query.at + 1, query.length };
	head->has_query = query.length > 0;
	return 0;
}

/* Write path and query, each with a NUL after it. Returns where the query is in `out`. */
static struct pfi_span write_path(const struct pfi_uwsgi_packet *packet, const char *bytes, struct pfi_out *out)
{
	const struct pfi_uwsgi_variable *const query = pfi_uwsgi_variable(packet, PFI_UWSGI_QUERY_STRING);

	pfi_uwsgi_path_write(packet, bytes, out);
	const uint32_t length = (uint32_t)out->length;
	(void)pfi_out_add(out, "", 1);
	(void)pfi_out_add(out, bytes + query->value.at, query->value.length);
	(void)pfi_out_add(out, "", 1);
	return (struct pfi_span){ length, query->value.length };
}

/* Write the head to the end of the packet, so that the body follows it as in HTTP, and parse it. */
static enum pfi_verdict parse_head(struct prefork_request *request, const struct pfi_uwsgi_packet *packet,
                                   const struct pfi_out *head)
{
	request->in_from += packet->length - head->length;
	memcpy(request->in + request->in_from, head->bytes, head->length);
	pfi_head_start(&request->head, request->fields, &request->http->config.limits);
	return pfi_head_feed(&request->head, request->in + request->in_from, head->length);
}

static enum pfi_verdict convert(struct prefork_request *request, const struct pfi_uwsgi_packet *packet)
{
	const char *const bytes = request->in + request->in_from;
	const size_t path_size = ESCAPE_LENGTH * (size_t)packet->length + 3;
	char *const memory = malloc(packet->length + path_size);
	struct pfi_out head = { memory, 0, packet->length };
	struct pfi_span query = { 0, 0 };

	if (memory == NULL)
		return no_memory(request);
	struct pfi_out path = { memory + packet->length, 0, path_size };
	const bool is_rewritten = pfi_uwsgi_is_rewritten(packet, bytes);
	if (is_rewritten)
		query = write_path(packet, bytes, &path);
	pfi_uwsgi_head_write(packet, bytes, &head);
	request->client = pfi_uwsgi_client_read(packet, bytes);
	request->is_tls = request->is_tls || request->client.is_secure;
	enum pfi_verdict verdict = parse_head(request, packet, &head);
	if (verdict == PFI_DONE && is_rewritten && set_path(request, &path, query) < 0)
		verdict = no_memory(request);
	free(memory);
	return verdict;
}

enum pfi_verdict pfi_uwsgi_receive(struct prefork_request *request)
{
	struct pfi_uwsgi_variable variables[PFI_UWSGI_VARIABLES_MAX];
	struct pfi_uwsgi_packet packet;
	const size_t length = request->in_end - request->in_from;

	pfi_uwsgi_packet_start(&packet, variables, &request->http->config.limits);
	switch (pfi_uwsgi_packet_feed(&packet, request->in + request->in_from, length)) {
	case PFI_DONE:
		return convert(request, &packet);
	case PFI_MORE:
		request->head.at = (uint32_t)length; /* all of it is parsed: more must be read */
		return PFI_MORE;
	case PFI_BAD:
		break;
	}
	request->head.http_error = packet.http_error;
	return PFI_BAD;
}
