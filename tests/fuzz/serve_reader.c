/* A strict parser of responses: every byte of output must belong to a response of the handler or to a refusal, and
 * every response that has finished without an error must be complete. */
#include "serve.h"

#include <strings.h>

struct head {
	int status;
	bool has_length;
	bool is_chunked;
	bool closes;
	bool has_number;
	bool has_date, has_server;
	uint64_t length;
	uint64_t number;
};

/* A body as received. */
struct body {
	size_t used;   /* with its framing */
	size_t length; /* of data           */
	bool is_whole;
};

static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static uint64_t read_number(const char *text, size_t size)
{
	uint64_t number = 0;

	demand(size > 0 && size < 20);
	for (size_t i = 0; i < size; i++) {
		demand(text[i] >= '0' && text[i] <= '9');
		number = 10 * number + (uint64_t)(text[i] - '0');
	}
	return number;
}

static void read_status_line(const char *line, size_t size, struct head *head)
{
	demand(size >= 13 && memcmp(line, "HTTP/1.1 ", 9) == 0 && line[12] == ' ');
	head->status = (int)read_number(line + 9, 3);
	demand(head->status >= 100);
}

static void once(bool *has)
{
	demand(!*has);
	*has = true;
}

static void read_field(const char *line, size_t size, struct head *head)
{
	const char *const colon = memchr(line, ':', size);

	demand(colon != NULL && colon > line && (size_t)(colon - line) + 2 <= size && colon[1] == ' ');
	const size_t name = (size_t)(colon - line), value_size = size - name - 2;
	const char *const value = colon + 2;
	const struct {
		const char *name;
		bool *has;
		uint64_t *number;
		const char *value;
	} known[] = {
		{ "Content-Length", &head->has_length, &head->length, NULL },
		{ "Transfer-Encoding", &head->is_chunked, NULL, "chunked" },
		{ "N", &head->has_number, &head->number, NULL },
		{ "Date", &head->has_date, NULL, NULL },
		{ "Server", &head->has_server, NULL, "prefork" },
	};

	for (size_t i = 0; i < name; i++)
		demand(is_token(line[i]));
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strlen(known[i].name) != name || strncasecmp(known[i].name, line, name) != 0)
			continue;
		once(known[i].has);
		if (known[i].number)
			*known[i].number = read_number(value, value_size);
		demand(!known[i].value || (strlen(known[i].value) == value_size &&
		                           memcmp(known[i].value, value, value_size) == 0));
	}
	if (name == strlen("Connection") && strncasecmp("Connection", line, name) == 0) {
		head->closes = value_size == strlen("close");
		demand(memcmp(value, head->closes ? "close" : "keep-alive", value_size) == 0);
	}
}

/* The length of the head; 0: it is incomplete. */
static size_t read_head(const char *text, size_t size, struct head *head)
{
	const char *const end = text ? memmem(text, size, "\r\n\r\n", 4) : NULL;
	const char *line = text;

	*head = (struct head){ 0 };
	if (!end)
		return 0;
	while (line < end + 2) {
		const char *const next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		const size_t length = (size_t)(next - line);

		for (size_t i = 0; i < length; i++)
			demand((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
		if (line == text)
			read_status_line(line, length, head);
		else
			read_field(line, length, head);
		line = next + 2;
	}
	return (size_t)(end + 4 - text);
}

/* Compares data of the body, from `*length` on. */
static void read_data(const struct response *response, const char *bytes, size_t size, size_t *length)
{
	demand(*length + size <= response->accepted_max);
	for (size_t i = 0; i < size; i++)
		demand(bytes[i] == body_byte(*length + i));
	*length += size;
}

/* The size of a chunk, and the length of its line; 0: the line is incomplete. */
static size_t read_chunk_line(const char *bytes, size_t size, uint64_t *ret)
{
	size_t i = 0;

	*ret = 0;
	for (; i < size && bytes[i] != '\r'; i++) {
		const char *const digit = strchr("0123456789abcdef", bytes[i]);

		demand(digit != NULL && bytes[i] != '\0' && i < 15);
		*ret = 16 * *ret + (uint64_t)(digit - strchr("0123456789abcdef", '0'));
	}
	if (i + 1 >= size)
		return 0;
	demand(i > 0 && bytes[i + 1] == '\n');
	return i + 2;
}

static struct body read_chunks(const struct response *response, const char *bytes, size_t size)
{
	struct body body = { 0 };

	for (;;) {
		uint64_t chunk;
		const size_t line = read_chunk_line(bytes + body.used, size - body.used, &chunk);
		size_t left = size - body.used - line;

		if (line == 0) {
			body.used = size;
			return body;
		}
		read_data(response, bytes + body.used + line, left < chunk ? left : (size_t)chunk, &body.length);
		if (left < chunk + 2) {
			body.used = size;
			return body;
		}
		demand(memcmp(bytes + body.used + line + chunk, "\r\n", 2) == 0);
		body.used += line + chunk + 2;
		if (chunk == 0) {
			body.is_whole = true;
			return body;
		}
	}
}

static bool has_no_body(const struct response *response, const struct head *head)
{
	return response->is_head || head->status == 204 || head->status == 304;
}

static struct body read_body(const struct response *response, const struct head *head, const char *bytes, size_t size)
{
	struct body body = { .is_whole = true };

	if (has_no_body(response, head))
		return body;
	if (head->is_chunked)
		return read_chunks(response, bytes, size);
	body.used = head->has_length && head->length < size ? (size_t)head->length : size;
	body.is_whole = !head->has_length || body.used == head->length;
	read_data(response, bytes, body.used, &body.length);
	return body;
}

/* The end of a body without a declared length must not look regular unless the handler has ended it. */
static void check_end(const struct client *client, const struct response *response, const struct head *head,
                      const struct body *body)
{
	const bool is_open = !head->has_length && !head->is_chunked && !has_no_body(response, head);
	const bool is_lost = client->client_reset || client->server_reset;

	if (is_open) {
		demand(head->closes && response->minor == 0);
		demand(is_lost || (body->length == response->accepted && (response->error == 0 || response->has_ended)));
	}
	if (head->is_chunked && body->is_whole)
		demand(body->length == response->accepted && (response->error == 0 || response->has_ended));
	demand(body->is_whole || response->error != 0);
}

/* A response of the handler, whose body is `body`. */
static void check_response(const struct client *client, const struct response *response, const struct head *head,
                         const struct body *body, size_t end)
{
	demand(head->status == response->status);
	demand(head->has_date && head->has_server);
	demand(!(head->is_chunked && head->has_length));
	demand(!head->is_chunked || response->minor > 0);
	demand(head->status != 204 || (!head->has_length && !head->is_chunked));
	check_end(client, response, head, body);
	if (response->error == 0)
		demand(end <= response->out_at_end);
}

/* A refusal of the library: the last response of its connection. It has no body if the method was HEAD. */
static void check_refusal(const struct client *client, const struct head *head, size_t rest)
{
	demand(head->status >= 400 && head->closes && head->has_length && head->has_date);
	demand(rest == 0 || rest == head->length ||
	       (rest < head->length && (client->client_reset || client->is_blocked)));
}

void reader_check(const struct client *client)
{
	const struct response *response = client->responses;
	bool was_continued = false;
	size_t at = 0;

	while (at < client->out_end) {
		const char *const text = client->out + at;
		const size_t left = client->out_end - at;
		struct head head;
		const size_t length = read_head(text, left, &head);

		if (length == 0) {
			demand(client->client_reset || client->is_blocked || (response && response->error != 0));
			return;
		}
		at += length;
		if (head.status < 200) {
			demand(!head.has_length && !head.is_chunked && !head.closes);
			demand(!response || response->minor > 0);
			demand(!head.has_number || (response && response->number == head.number));
			demand(head.has_number || head.status == 100);
			if (!head.has_number)
				once(&was_continued);
			continue;
		}
		if (!head.has_number) {
			check_refusal(client, &head, client->out_end - at);
			demand(!response || response->error != 0);
			return;
		}
		demand(response && response->number == head.number);
		const struct body body = read_body(response, &head, client->out + at, client->out_end - at);
		at += body.used;
		demand(!head.closes || at == client->out_end);
		check_response(client, response, &head, &body, at);
		response = response->next;
		was_continued = false;
	}
	/* A response without an error must be in the output. */
	for (; response; response = response->next)
		demand(response->error != 0);
}
