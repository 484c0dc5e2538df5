/*
 * A handler that does what the path of each request says: /s200w10w10 starts a response with status 200
 * and writes 10 bytes twice. Letters, each with a number n behind it:
 *
 *     s status   c Content-Length   H a field of n bytes   k close   x reset   e end
 *     b bytes    l last             w write   f file   F a file that ends too early
 *     p a pull callback for n bytes in three pieces   P the same, and the callback fails
 *     r read n bytes of the body   R read all of it   t n ms pass   d extend the deadline by n ms
 *     z fail   a fail without an error message   q the worker drains
 */
#include "serve.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STEPS_MAX = 32, GIVEN_MAX = 4 * 1024 * 1024, PIECES = 3 };

static char pattern[PATTERN_SIZE + PATTERN_PERIOD];
static int file = -1;
static size_t budget; /* bytes that responses may still have */

char body_byte(size_t at)
{
	return pattern[at % PATTERN_PERIOD];
}

void handler_init(void)
{
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (char)('0' + i % PATTERN_PERIOD % 75);
	file = memfd_create("body", MFD_CLOEXEC);
	demand(file >= 0 && write(file, pattern, FILE_SIZE) == FILE_SIZE);
}

void handler_reset(void)
{
	budget = GIVEN_MAX;
}

/* The next `size` bytes of the body. */
static const char *next_bytes(struct response *response, size_t size)
{
	if (response->accepted + size > response->accepted_max)
		response->accepted_max = response->accepted + size;
	return pattern + response->accepted % PATTERN_PERIOD;
}

static void count_accepted(struct response *response, int r, size_t size)
{
	demand(r <= 0);
	response->accepted += r == 0 ? size : 0;
}

static ptrdiff_t pull(struct prefork_request *request, const void **ret_bytes, void *user)
{
	struct response *const response = user;

	demand(prefork_request_user(request) == response && !response->has_finished);
	response->has_ended = response->pieces == 0 && !response->pull_fails;
	if (response->pieces == 0)
		return response->pull_fails ? prefork_fail(-EIO, "the callback fails") : 0;
	response->pieces--;
	*ret_bytes = next_bytes(response, response->piece);
	response->accepted += response->piece;
	return (ptrdiff_t)response->piece;
}

static void set_source(struct prefork_request *request, struct response *response, size_t size, bool fails)
{
	if (response->piece > 0)
		return; /* it has a callback */
	response->piece = size;
	response->pieces = size > 0 ? PIECES : 0;
	response->pull_fails = fails;
	if (prefork_response_pull(request, pull, response) < 0)
		response->piece = 0;
}

static void set_file(struct prefork_request *request, struct response *response, size_t size, bool is_short)
{
	const size_t begin = response->accepted % PATTERN_PERIOD, there = FILE_SIZE - begin;

	if (size > there)
		size = there;
	const size_t declared = is_short ? there + 1 + size : size;
	(void)next_bytes(response, is_short ? there : size);
	count_accepted(response, prefork_response_file(request, file, (int64_t)begin, (int64_t)declared), is_short ? there : size);
}

static void start(struct prefork_request *request, struct response *response, int status)
{
	char number[16];

	if (prefork_response_start(request, status, status % 2 ? "Odd" : NULL) < 0)
		return;
	demand(prefork_response_status(request) == status);
	response->status = status;
	(void)snprintf(number, sizeof number, "%u", response->number);
	if (prefork_response_field(request, "N", number) == 0)
		return;
	demand(prefork_response_reset(request) == 0); /* no memory */
	response->status = 0;
}

static void add_length(struct prefork_request *request, size_t length)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%zu", length);
	(void)prefork_response_field(request, "Content-Length", text);
}

/* The body is no longer than Content-Length. */
static void read_body(struct prefork_request *request, size_t wanted)
{
	static char buffer[PATTERN_SIZE];
	const struct client *const client = client_of(prefork_request_connection(request));
	const int64_t length = prefork_request_content_length(request);
	size_t got = 0;
	ptrdiff_t n = 1;

	while (n > 0 && got < wanted) {
		n = prefork_request_read(request, buffer, wanted - got < sizeof buffer ? wanted - got : sizeof buffer);
		got += n > 0 ? (size_t)n : 0;
	}
	demand(got <= client->in_at);
	demand(length < 0 || got <= (uint64_t)length);
	(void)prefork_request_trailer_count(request);
}

static int step(struct prefork_request *request, struct response *response, char letter, size_t n)
{
	const size_t size = n < budget ? n : budget;

	switch (letter) {
	case 's': start(request, response, (int)n); break;
	case 'c': add_length(request, n); break;
	case 'H': (void)prefork_response_header(request, "H", 1, pattern, size); break;
	case 'k': (void)prefork_response_close(request); break;
	case 'x': response->status = prefork_response_reset(request) == 0 ? 0 : response->status; break;
	case 'e': response->has_ended |= prefork_response_end(request) == 0; break;
	case 'b': count_accepted(response, prefork_response_bytes(request, next_bytes(response, size), size), size); break;
	case 'l': count_accepted(response, prefork_response_last(request, next_bytes(response, size), size), size); break;
	case 'w': count_accepted(response, prefork_response_write(request, next_bytes(response, size), size), size); break;
	case 'f': set_file(request, response, size, false); break;
	case 'F': set_file(request, response, size, true); break;
	case 'p': set_source(request, response, size / PIECES, false); break;
	case 'P': set_source(request, response, size / PIECES, true); break;
	case 'r': read_body(request, n); return 0;
	case 'R': read_body(request, SIZE_MAX); return 0;
	case 't': script_pass_ms(n); return 0;
	case 'd': prefork_request_extend(prefork_request_worker(request), n); return 0;
	case 'q': script_drain(); return 0;
	case 'z': return prefork_fail(-EIO, "the handler fails");
	case 'a': return PREFORK_EAPP;
	default: return 0;
	}
	budget -= strchr("HblwfFpP", letter) ? size : 0;
	return 0;
}

static struct response *begin(struct prefork_request *request)
{
	struct client *const client = client_of(prefork_request_connection(request));
	struct response *const response = calloc(1, sizeof *response);
	const char *name;
	size_t size;

	demand(response != NULL && prefork_request_user(request) == NULL && prefork_request_error(request) == 0);
	response->is_head = strcmp(prefork_request_method(request, NULL), "HEAD") == 0;
	response->minor = prefork_request_minor_version(request);
	response->number = client->response_count++;
	*client->last_response = response;
	client->last_response = &response->next;
	prefork_request_set_user(request, response);
	for (size_t i = 0; i < prefork_request_header_count(request); i++)
		demand(prefork_request_header_at(request, i, &name, NULL, &size) != NULL);
	(void)prefork_request_header(request, "host", NULL);
	(void)prefork_request_query(request, NULL);
	(void)prefork_request_scheme(request);
	if (prefork_worker_directive(prefork_request_worker(request)) != PREFORK_CONTINUE)
		demand(client->last_requests++ == 0);
	/* A request has at least two lines. */
	demand((size_t)client->response_count * 2 <= client->lines_read);
	return response;
}

static int handle(struct prefork_request *request, void *user)
{
	struct response *const response = begin(request);
	size_t size;
	const char *at = prefork_request_path(request, &size), *const end = at + size;
	int r = 0;

	(void)user;
	for (int steps = 0; at < end && r == 0 && steps < STEPS_MAX; steps++) {
		const char letter = *at++;
		size_t n = 0;

		for (; at < end && *at >= '0' && *at <= '9' && n < PATTERN_SIZE / 10 - 1; at++)
			n = 10 * n + (size_t)(*at - '0');
		r = step(request, response, letter, n);
	}
	response->has_ended |= r == 0 && response->piece == 0;
	return r;
}

static void finished(struct prefork_request *request, void *user)
{
	const struct client *const client = client_of(prefork_request_connection(request));
	struct response *const response = prefork_request_user(request);

	(void)user;
	demand(!response->has_finished);
	response->has_finished = true;
	response->error = prefork_request_error(request);
	response->out_at_end = client->out_end;
}

const struct prefork_http_service serve_handler = {
	.struct_size = sizeof serve_handler,
	.handle = handle,
	.finished = finished,
};
