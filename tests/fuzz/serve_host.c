/*
 * A host that does what the path of each request says: /s200w10w10 starts a response with status 200
 * and writes twice ten bytes. Letters, with a number behind them:
 *
 *     s status   c Content-Length   H a field of so many bytes   k close   x reset   e end
 *     b bytes    l last             w write   f file   F a file that ends too early
 *     p three pieces of so many bytes by callback   P the same, and the callback fails
 *     r read so many bytes of the body   R all of it   t so many ms pass   d extend the deadline
 *     z fail   a fail without a word   q the worker is to leave
 */
#include "serve.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STEPS_MAX = 32, GIVEN_MAX = 4 * 1024 * 1024, PIECES = 3 };

static char pattern[PATTERN_SIZE + PATTERN_PERIOD];
static int file = -1;
static size_t budget; /* bytes that this input may still make */

char host_byte(size_t at)
{
	return pattern[at % PATTERN_PERIOD];
}

void host_init(void)
{
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (char)('0' + i % PATTERN_PERIOD % 75);
	file = memfd_create("body", MFD_CLOEXEC);
	demand(file >= 0 && write(file, pattern, FILE_SIZE) == FILE_SIZE);
}

void host_reset(void)
{
	budget = GIVEN_MAX;
}

/* The next `size` bytes of the body. */
static const char *next_bytes(struct answer *answer, size_t size)
{
	if (answer->given + size > answer->most)
		answer->most = answer->given + size;
	return pattern + answer->given % PATTERN_PERIOD;
}

static void take_note(struct answer *answer, int r, size_t size)
{
	demand(r <= 0);
	answer->given += r == 0 ? size : 0;
}

static ptrdiff_t pull(struct prefork_request *request, const void **ret_bytes, void *user)
{
	struct answer *const answer = user;

	demand(prefork_request_user(request) == answer && !answer->has_finished);
	answer->has_ended = answer->pieces == 0 && !answer->pull_fails;
	if (answer->pieces == 0)
		return answer->pull_fails ? prefork_fail(-EIO, "the callback fails") : 0;
	answer->pieces--;
	*ret_bytes = next_bytes(answer, answer->piece);
	answer->given += answer->piece;
	return (ptrdiff_t)answer->piece;
}

static void set_source(struct prefork_request *request, struct answer *answer, size_t size, bool fails)
{
	if (answer->piece > 0)
		return; /* it has one */
	answer->piece = size;
	answer->pieces = size > 0 ? PIECES : 0;
	answer->pull_fails = fails;
	if (prefork_response_pull(request, pull, answer) < 0)
		answer->piece = 0;
}

static void set_file(struct prefork_request *request, struct answer *answer, size_t size, bool is_short)
{
	const size_t begin = answer->given % PATTERN_PERIOD, there = FILE_SIZE - begin;

	if (size > there)
		size = there;
	const size_t said = is_short ? there + 1 + size : size;
	(void)next_bytes(answer, is_short ? there : size);
	take_note(answer, prefork_response_file(request, file, (int64_t)begin, (int64_t)said), is_short ? there : size);
}

static void start(struct prefork_request *request, struct answer *answer, int status)
{
	char number[16];

	if (prefork_response_start(request, status, status % 2 ? "Odd" : NULL) < 0)
		return;
	demand(prefork_response_status(request) == status);
	answer->status = status;
	(void)snprintf(number, sizeof number, "%u", answer->number);
	if (prefork_response_field(request, "N", number) == 0)
		return;
	demand(prefork_response_reset(request) == 0); /* no memory */
	answer->status = 0;
}

static void add_length(struct prefork_request *request, size_t length)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%zu", length);
	(void)prefork_response_field(request, "Content-Length", text);
}

/* A body that came whole is as long as was said. */
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

static int step(struct prefork_request *request, struct answer *answer, char letter, size_t n)
{
	const size_t size = n < budget ? n : budget;

	switch (letter) {
	case 's': start(request, answer, (int)n); break;
	case 'c': add_length(request, n); break;
	case 'H': (void)prefork_response_header(request, "H", 1, pattern, size); break;
	case 'k': (void)prefork_response_close(request); break;
	case 'x': answer->status = prefork_response_reset(request) == 0 ? 0 : answer->status; break;
	case 'e': answer->has_ended |= prefork_response_end(request) == 0; break;
	case 'b': take_note(answer, prefork_response_bytes(request, next_bytes(answer, size), size), size); break;
	case 'l': take_note(answer, prefork_response_last(request, next_bytes(answer, size), size), size); break;
	case 'w': take_note(answer, prefork_response_write(request, next_bytes(answer, size), size), size); break;
	case 'f': set_file(request, answer, size, false); break;
	case 'F': set_file(request, answer, size, true); break;
	case 'p': set_source(request, answer, size / PIECES, false); break;
	case 'P': set_source(request, answer, size / PIECES, true); break;
	case 'r': read_body(request, n); return 0;
	case 'R': read_body(request, SIZE_MAX); return 0;
	case 't': script_pass_ms(n); return 0;
	case 'd': prefork_request_extend(prefork_request_worker(request), n); return 0;
	case 'q': script_leave(); return 0;
	case 'z': return prefork_fail(-EIO, "the host fails");
	case 'a': return PREFORK_EAPP;
	default: return 0;
	}
	budget -= strchr("HblwfFpP", letter) ? size : 0;
	return 0;
}

static struct answer *begin(struct prefork_request *request)
{
	struct client *const client = client_of(prefork_request_connection(request));
	struct answer *const answer = calloc(1, sizeof *answer);
	const char *name;
	size_t size;

	demand(answer != NULL && prefork_request_user(request) == NULL && prefork_request_error(request) == 0);
	answer->to_head = strcmp(prefork_request_method(request, NULL), "HEAD") == 0;
	answer->minor = prefork_request_minor_version(request);
	answer->number = client->answer_count++;
	*client->last = answer;
	client->last = &answer->next;
	prefork_request_set_user(request, answer);
	for (size_t i = 0; i < prefork_request_header_count(request); i++)
		demand(prefork_request_header_at(request, i, &name, NULL, &size) != NULL);
	(void)prefork_request_header(request, "host", NULL);
	(void)prefork_request_query(request, NULL);
	(void)prefork_request_scheme(request);
	if (prefork_worker_directive(prefork_request_worker(request)) != PREFORK_CONTINUE)
		demand(client->last_requests++ == 0);
	/* A request has two lines at least. */
	demand((size_t)client->answer_count * 2 <= client->said);
	return answer;
}

static int handle(struct prefork_request *request, void *user)
{
	struct answer *const answer = begin(request);
	size_t size;
	const char *at = prefork_request_path(request, &size), *const end = at + size;
	int r = 0;

	(void)user;
	for (int steps = 0; at < end && r == 0 && steps < STEPS_MAX; steps++) {
		const char letter = *at++;
		size_t n = 0;

		for (; at < end && *at >= '0' && *at <= '9' && n < PATTERN_SIZE / 10 - 1; at++)
			n = 10 * n + (size_t)(*at - '0');
		r = step(request, answer, letter, n);
	}
	answer->has_ended |= r == 0 && answer->piece == 0;
	return r;
}

static void finished(struct prefork_request *request, void *user)
{
	const struct client *const client = client_of(prefork_request_connection(request));
	struct answer *const answer = prefork_request_user(request);

	(void)user;
	demand(!answer->has_finished);
	answer->has_finished = true;
	answer->error = prefork_request_error(request);
	answer->out_by_then = client->out_end;
}

const struct prefork_http_service serve_host = {
	.struct_size = sizeof serve_host,
	.handle = handle,
	.finished = finished,
};
