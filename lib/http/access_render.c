/* Renders a line from the steps of a format and the facts of a request. */
#include "http/access_steps.h"
#include "http/access_text.h"
#include "http/basic.h"
#include "http/response_head.h"

#include <string.h>

enum { USER_MAX = 256 };

/* One rendering of a line. A line that is too long is rendered again, with a limit for each text from outside, so that
 * a client cannot push the texts after its own out of the line. */
struct rendering {
	struct pfi_text *line;
	size_t max;         /* bytes that such a text may take; SIZE_MAX: no limit */
	unsigned texts;     /* number of such texts so far */
	unsigned shortened; /* of them longer than `max` */
	size_t unused;      /* bytes of `max` that the shortened texts did not use: no text is cut inside a character */
};

/* A piece of text; NULL: there is none. */
struct piece {
	const char *bytes;
	size_t length;
};

static struct piece span(const struct pfi_access_facts *facts, const struct pfi_span *where)
{
	return (struct piece){ facts->bytes + where->at, where->length };
}

static struct piece known_field(const struct pfi_access_facts *facts, enum pfi_field_id id)
{
	const struct pfi_field *const field = facts->head != NULL ? pfi_head_field(facts->head, id) : NULL;

	return field != NULL ? span(facts, &field->value) : (struct piece){ NULL, 0 };
}

static struct piece request_field(const struct pfi_access_facts *facts, const struct pfi_step *step)
{
	for (uint32_t i = 0; facts->head != NULL && i < facts->head->fields_count; i++) {
		const struct pfi_field *const field = &facts->head->fields[i];

		if (pfi_text_is(facts->bytes + field->name.at, field->name.length, step->text, step->length))
			return span(facts, &field->value);
	}
	return (struct piece){ NULL, 0 };
}

/* The library writes the response head, so every line of it is "Name: value\r\n". */
static struct piece response_field(const struct pfi_access_facts *facts, const struct pfi_step *step)
{
	const char *at = facts->response, *const end = at != NULL ? at + facts->response_length : NULL;

	while (at != NULL && at < end) {
		const char *const stop = memchr(at, '\n', (size_t)(end - at));
		const size_t length = stop != NULL ? (size_t)(stop - at) : (size_t)(end - at);

		if (length > step->length + 2 && at[step->length] == ':' &&
		    pfi_text_is(at, step->length, step->text, step->length))
			return (struct piece){ at + step->length + 2, length - step->length - 3 };
		at = stop != NULL ? stop + 1 : NULL;
	}
	return (struct piece){ NULL, 0 };
}

/* The first line of an incomplete head, as far as it was received. */
static struct piece raw_line(const struct pfi_access_facts *facts)
{
	const char *const bytes = facts->bytes;
	size_t at = 0, end;

	while (at < facts->length && at < 2 && (bytes[at] == '\r' || bytes[at] == '\n'))
		at++; /* one empty line is skipped before a request (RFC 9112 2.2) */
	for (end = at; end < facts->length && bytes[end] != '\r' && bytes[end] != '\n';)
		end++;
	return (struct piece){ bytes + at, end - at };
}

static struct piece user(const struct pfi_access_facts *facts, char buffer[USER_MAX])
{
	const struct piece value = known_field(facts, PFI_FIELD_AUTHORIZATION);
	const size_t length = value.bytes != NULL ? pfi_basic_user(value.bytes, value.length, buffer, USER_MAX) : 0;

	return (struct piece){ length > 0 ? buffer : NULL, length };
}

static struct piece protocol(const struct pfi_access_facts *facts, char buffer[USER_MAX])
{
	memcpy(buffer, "HTTP/1.", 7);
	buffer[7] = (char)('0' + facts->head->minor);
	return (struct piece){ buffer, 8 };
}

/* The host of "127.0.0.1:80", "[::1]:80", "h"; of its port NULL where there is none. */
static struct piece of_address(const char *address, size_t length, enum pfi_atom atom)
{
	const char *const end = address + length, *const colon = memrchr(address, ':', length);
	const char *const bracket = memrchr(address, ']', length);
	const char *const stop = colon != NULL && (bracket == NULL || bracket < colon) ? colon : end;

	if (atom == PFI_ATOM_SERVER_PORT)
		return (struct piece){ stop < end ? stop + 1 : NULL, stop < end ? (size_t)(end - stop) - 1 : 0 };
	if (*address == '[' && bracket != NULL)
		return (struct piece){ address + 1, (size_t)(bracket - address) - 1 };
	return (struct piece){ address, (size_t)(stop - address) };
}

/* SERVER_NAME, as in the environ of an application. A unix socket has no host: the field Host names it. */
static struct piece server(const struct pfi_access_facts *facts, enum pfi_atom atom)
{
	const bool is_unix = strncmp(facts->server, "unix:", 5) == 0;
	const struct piece host = is_unix ? known_field(facts, PFI_FIELD_HOST) :
	                                    (struct piece){ facts->server, strlen(facts->server) };
	struct piece found = { NULL, 0 };

	if (host.bytes != NULL && host.length > 0)
		found = of_address(host.bytes, host.length, atom);
	if (found.bytes != NULL || !is_unix)
		return found;
	if (atom == PFI_ATOM_SERVER_NAME)
		return (struct piece){ "localhost", 9 };
	return facts->is_secure ? (struct piece){ "443", 3 } : (struct piece){ "80", 2 };
}

/* A part of the request line; NULL if the head is not complete. */
static struct piece of_line(const struct pfi_access_facts *facts, enum pfi_atom atom, char buffer[USER_MAX])
{
	const struct pfi_head *const head = facts->head;

	if (head == NULL)
		return (struct piece){ NULL, 0 };
	switch (atom) {
	case PFI_ATOM_METHOD:
		return span(facts, &head->method);
	case PFI_ATOM_PATH:
		return span(facts, &head->path);
	case PFI_ATOM_QUERY:
		return head->has_query ? span(facts, &head->query) : (struct piece){ "", 0 };
	case PFI_ATOM_PROTOCOL:
		return protocol(facts, buffer);
	default:
		return span(facts, &head->target);
	}
}

/* The text of an atom; `buffer` is for texts that are not in the facts. */
static struct piece text_of(const struct pfi_step *step, const struct pfi_access_facts *facts, char buffer[USER_MAX])
{
	switch (step->atom) {
	case PFI_ATOM_PEER:
		return (struct piece){ *facts->peer != '\0' ? facts->peer : NULL, strlen(facts->peer) };
	case PFI_ATOM_USER:
		return user(facts, buffer);
	case PFI_ATOM_REFERER:
		return known_field(facts, PFI_FIELD_REFERER);
	case PFI_ATOM_AGENT:
		return known_field(facts, PFI_FIELD_USER_AGENT);
	case PFI_ATOM_REQUEST_FIELD:
		return request_field(facts, step);
	case PFI_ATOM_RESPONSE_FIELD:
		return response_field(facts, step);
	case PFI_ATOM_NONE:
		return (struct piece){ NULL, 0 };
	case PFI_ATOM_SCHEME:
		return (struct piece){ facts->is_secure ? "https" : "http", facts->is_secure ? 5 : 4 };
	case PFI_ATOM_PEER_PORT:
		return (struct piece){ buffer, pfi_decimal(buffer, facts->peer_port) };
	case PFI_ATOM_SERVER_NAME:
	case PFI_ATOM_SERVER_PORT:
		return server(facts, step->atom);
	default:
		return of_line(facts, step->atom, buffer);
	}
}

static void add_number(struct pfi_text *line, uint64_t number)
{
	char digits[20];

	pfi_text_add_bytes(line, digits, pfi_decimal(digits, number));
}

static void add_decimal(struct pfi_text *line, uint64_t took_us)
{
	char digits[6];
	uint64_t rest = took_us % 1000000;

	for (size_t i = sizeof digits; i-- > 0; rest /= 10)
		digits[i] = (char)('0' + rest % 10);
	add_number(line, took_us / 1000000);
	pfi_text_add_char(line, '.');
	pfi_text_add_bytes(line, digits, sizeof digits);
}

/* A text was added after the first `before` bytes of the line. */
static void note_text(struct rendering *to, size_t before, bool whole)
{
	if (whole)
		return;
	to->shortened++;
	to->unused += to->max - (to->line->length - before);
}

static void add_piece(struct rendering *to, struct piece piece)
{
	if (piece.bytes == NULL || piece.length == 0) {
		pfi_text_add_char(to->line, '-');
		return;
	}
	to->texts++;
	if (to->max == SIZE_MAX) {
		pfi_access_add_plain(to->line, piece.bytes, piece.length);
	} else {
		const size_t before = to->line->length;
		note_text(to, before, pfi_access_add_plain_most(to->line, piece.bytes, piece.length, to->max));
	}
}

static void add_request_line(struct rendering *to, const struct pfi_access_facts *facts)
{
	static const enum pfi_atom parts[] = { PFI_ATOM_METHOD, PFI_ATOM_TARGET, PFI_ATOM_PROTOCOL };
	char buffer[USER_MAX];

	if (facts->head == NULL) {
		add_piece(to, raw_line(facts));
		return;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (i > 0)
			pfi_text_add_char(to->line, ' ');
		add_piece(to, of_line(facts, parts[i], buffer));
	}
}

static void add_one(struct rendering *to, const struct pfi_access_facts *facts, const struct pfi_step *step)
{
	struct pfi_text *const line = to->line;
	char buffer[USER_MAX];
	struct piece piece;

	switch (step->atom) {
	case PFI_ATOM_LITERAL:
		pfi_text_add_bytes(line, step->text, step->length);
		break;
	case PFI_ATOM_TIME:
		pfi_text_add_bytes(line, facts->time, facts->time_length);
		break;
	case PFI_ATOM_LINE:
		add_request_line(to, facts);
		break;
	case PFI_ATOM_STATUS:
		add_number(line, (uint64_t)facts->status);
		break;
	case PFI_ATOM_BYTES_CLF:
		if (facts->sent == 0) {
			pfi_text_add_char(line, '-');
			break;
		}
		/* fall through */
	case PFI_ATOM_BYTES:
		add_number(line, facts->sent);
		break;
	case PFI_ATOM_SECONDS:
		add_number(line, facts->took_us / 1000000);
		break;
	case PFI_ATOM_MILLIS:
		add_number(line, facts->took_us / 1000);
		break;
	case PFI_ATOM_MICROS:
		add_number(line, facts->took_us);
		break;
	case PFI_ATOM_DECIMAL:
		add_decimal(line, facts->took_us);
		break;
	case PFI_ATOM_PID:
		pfi_text_add_char(line, '<');
		add_number(line, (uint64_t)facts->pid);
		pfi_text_add_char(line, '>');
		break;
	case PFI_ATOM_QUERY: /* an empty query stays empty, as in gunicorn; other empty texts become - */
		piece = of_line(facts, PFI_ATOM_QUERY, buffer);
		if (piece.bytes != NULL && piece.length == 0)
			break;
		add_piece(to, piece);
		break;
	default:
		add_piece(to, text_of(step, facts, buffer));
	}
}

/* The keys of a line of JSON, in their order. */
static const struct {
	const char *key; /* with its punctuation */
	struct pfi_step step;
} members[] = {
	{ "{\"time\":", { .atom = PFI_ATOM_TIME } },
	{ ",\"client\":", { .atom = PFI_ATOM_PEER } },
	{ ",\"user\":", { .atom = PFI_ATOM_USER } },
	{ ",\"host\":", { .atom = PFI_ATOM_REQUEST_FIELD, .text = (char *)(uintptr_t)"host", .length = 4 } },
	{ ",\"method\":", { .atom = PFI_ATOM_METHOD } },
	{ ",\"target\":", { .atom = PFI_ATOM_TARGET } },
	{ ",\"protocol\":", { .atom = PFI_ATOM_PROTOCOL } },
	{ ",\"status\":", { .atom = PFI_ATOM_STATUS } },
	{ ",\"bytes\":", { .atom = PFI_ATOM_BYTES } },
	{ ",\"duration_us\":", { .atom = PFI_ATOM_MICROS } },
	{ ",\"referer\":", { .atom = PFI_ATOM_REFERER } },
	{ ",\"user_agent\":", { .atom = PFI_ATOM_AGENT } },
	{ ",\"pid\":", { .atom = PFI_ATOM_PID } },
};

static void add_string(struct rendering *to, struct piece piece)
{
	if (piece.bytes == NULL || to->max == SIZE_MAX) {
		to->texts += piece.bytes != NULL;
		pfi_access_add_json(to->line, piece.bytes, piece.length);
		return;
	}
	to->texts++;
	const size_t quotes_end = to->line->length + 2;
	note_text(to, quotes_end, pfi_access_add_json_most(to->line, piece.bytes, piece.length, to->max));
}

static void add_member(struct rendering *to, const struct pfi_access_facts *facts, const struct pfi_step *step)
{
	char buffer[USER_MAX];

	switch (step->atom) {
	case PFI_ATOM_STATUS:
	case PFI_ATOM_BYTES:
	case PFI_ATOM_MICROS:
		add_one(to, facts, step);
		break;
	case PFI_ATOM_PID:
		add_number(to->line, (uint64_t)facts->pid);
		break;
	case PFI_ATOM_TIME:
		pfi_access_add_json(to->line, facts->time, facts->time_length);
		break;
	default:
		add_string(to, text_of(step, facts, buffer));
	}
}

static void render_json(struct rendering *to, const struct pfi_access_facts *facts)
{
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		pfi_text_add(to->line, members[i].key);
		add_member(to, facts, &members[i].step);
	}
	if (facts->head == NULL) {
		pfi_text_add(to->line, ",\"line\":");
		add_string(to, raw_line(facts));
	}
	pfi_text_add_char(to->line, '}');
}

bool pfi_access_is_json(const struct pfi_access_format *format)
{
	return format->is_json;
}

static struct rendering render(const struct pfi_access_format *format, const struct pfi_access_facts *facts,
                               struct pfi_text *line, size_t max)
{
	struct rendering to = { .line = line, .max = max };

	pfi_text_init(line, line->bytes, line->size);
	if (format->is_json)
		render_json(&to, facts);
	for (size_t i = 0; !format->is_json && i < format->count; i++)
		add_one(&to, facts, &format->steps[i]);
	return to;
}

/* All texts have the same limit: the space that is left without any of them, divided by their number. Space that
 * shorter texts do not use is divided among the others, twice, after which nearly all of it is used. */
void pfi_access_render(const struct pfi_access_format *format, const struct pfi_access_facts *facts,
                       struct pfi_text *line)
{
	struct rendering was = render(format, facts, line, SIZE_MAX);

	if (!line->cut || was.texts == 0)
		return;
	(void)render(format, facts, line, 0);
	if (line->cut)
		return; /* by the format's own text */
	size_t max = (line->size - 1 - line->length) / was.texts;
	was = render(format, facts, line, max);
	for (int i = 0; i < 2 && was.shortened > 0; i++) {
		max += (line->size - 1 - line->length - was.unused) / was.shortened;
		was = render(format, facts, line, max);
	}
}
