/* A line, from the steps of a format and the facts of a request. */
#include "http/access_steps.h"
#include "http/access_text.h"
#include "http/basic.h"
#include "http/response.h"

#include <string.h>

enum {
	USER_MAX = 256,
	JSON_REST = 512, /* room for all keys behind one, and their numbers */
};

/* A piece of text, or that there is none (NULL). */
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

/* The response's head is ours, so every line in it is "Name: value\r\n". */
static struct piece reply_field(const struct pfi_access_facts *facts, const struct pfi_step *step)
{
	const char *at = facts->reply, *const end = at != NULL ? at + facts->reply_length : NULL;

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

/* The first line of a head that was never complete, as far as it came. */
static struct piece raw_line(const struct pfi_access_facts *facts)
{
	const char *const bytes = facts->bytes;
	size_t at = 0, end;

	while (at < facts->length && at < 2 && (bytes[at] == '\r' || bytes[at] == '\n'))
		at++; /* the one empty line that is forgiven */
	for (end = at; end < facts->length && bytes[end] != '\r' && bytes[end] != '\n';)
		end++;
	return (struct piece){ bytes + at, end - at };
}

static struct piece user(const struct pfi_access_facts *facts, char room[USER_MAX])
{
	const struct piece value = known_field(facts, PFI_FIELD_AUTHORIZATION);
	const size_t length = value.bytes != NULL ? pfi_basic_user(value.bytes, value.length, room, USER_MAX) : 0;

	return (struct piece){ length > 0 ? room : NULL, length };
}

static struct piece protocol(const struct pfi_access_facts *facts, char room[USER_MAX])
{
	memcpy(room, "HTTP/1.", 7);
	room[7] = (char)('0' + facts->head->minor);
	return (struct piece){ room, 8 };
}

/* What there is of the request line when its head is complete. */
static struct piece of_line(const struct pfi_access_facts *facts, enum pfi_atom atom, char room[USER_MAX])
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
		return protocol(facts, room);
	default:
		return span(facts, &head->target);
	}
}

/* Of the atoms that are texts; `room` is for those that must be made. */
static struct piece text_of(const struct pfi_step *step, const struct pfi_access_facts *facts, char room[USER_MAX])
{
	switch (step->atom) {
	case PFI_ATOM_PEER:
		return (struct piece){ *facts->peer != '\0' ? facts->peer : NULL, strlen(facts->peer) };
	case PFI_ATOM_USER:
		return user(facts, room);
	case PFI_ATOM_REFERER:
		return known_field(facts, PFI_FIELD_REFERER);
	case PFI_ATOM_AGENT:
		return known_field(facts, PFI_FIELD_USER_AGENT);
	case PFI_ATOM_REQUEST_FIELD:
		return request_field(facts, step);
	case PFI_ATOM_REPLY_FIELD:
		return reply_field(facts, step);
	case PFI_ATOM_NOBODY:
		return (struct piece){ NULL, 0 };
	default:
		return of_line(facts, step->atom, room);
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

static void add_piece(struct pfi_text *line, struct piece piece)
{
	if (piece.bytes == NULL || piece.length == 0)
		pfi_text_add_char(line, '-');
	else
		pfi_access_add_plain(line, piece.bytes, piece.length);
}

static void add_request_line(struct pfi_text *line, const struct pfi_access_facts *facts)
{
	static const enum pfi_atom parts[] = { PFI_ATOM_METHOD, PFI_ATOM_TARGET, PFI_ATOM_PROTOCOL };
	char room[USER_MAX];

	if (facts->head == NULL) {
		add_piece(line, raw_line(facts));
		return;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (i > 0)
			pfi_text_add_char(line, ' ');
		add_piece(line, of_line(facts, parts[i], room));
	}
}

static void add_one(struct pfi_text *line, const struct pfi_access_facts *facts, const struct pfi_step *step)
{
	char room[USER_MAX];
	struct piece piece;

	switch (step->atom) {
	case PFI_ATOM_LITERAL:
		pfi_text_add_bytes(line, step->text, step->length);
		break;
	case PFI_ATOM_TIME:
		pfi_text_add_bytes(line, facts->time, facts->time_length);
		break;
	case PFI_ATOM_LINE:
		add_request_line(line, facts);
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
	case PFI_ATOM_QUERY: /* empty is an answer here, as it is with gunicorn */
		piece = of_line(facts, PFI_ATOM_QUERY, room);
		if (piece.bytes != NULL && piece.length == 0)
			break;
		add_piece(line, piece);
		break;
	default:
		add_piece(line, text_of(step, facts, room));
	}
}

/* The keys of a line of JSON, in their order. */
static const struct {
	const char *key; /* with what stands before and behind it */
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

static void add_member(struct pfi_text *line, const struct pfi_access_facts *facts, const struct pfi_step *step)
{
	char room[USER_MAX];
	struct piece piece;

	switch (step->atom) {
	case PFI_ATOM_STATUS:
	case PFI_ATOM_BYTES:
	case PFI_ATOM_MICROS:
		add_one(line, facts, step);
		break;
	case PFI_ATOM_PID:
		add_number(line, (uint64_t)facts->pid);
		break;
	case PFI_ATOM_TIME:
		pfi_access_add_json(line, facts->time, facts->time_length);
		break;
	default:
		piece = text_of(step, facts, room);
		pfi_access_add_json(line, piece.bytes, piece.length);
	}
}

/* A line that does not fit must not be cut, or it would be no JSON any more: what comes from the client
 * gives way, the longest last. */
static void render_json(const struct pfi_access_facts *facts, struct pfi_text *line)
{
	const struct piece raw = raw_line(facts);

	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		pfi_text_add(line, members[i].key);
		const size_t behind_key = line->length;
		add_member(line, facts, &members[i].step);
		if (line->cut || line->size - line->length < JSON_REST) {
			line->cut = false;
			line->length = behind_key;
			pfi_text_add(line, "null");
		}
	}
	if (facts->head == NULL) {
		const size_t before = line->length;

		pfi_text_add(line, ",\"line\":");
		pfi_access_add_json(line, raw.bytes, raw.length);
		if (line->cut || line->size - line->length < 2) {
			line->cut = false;
			line->length = before;
		}
	}
	pfi_text_add_char(line, '}');
}

bool pfi_access_is_json(const struct pfi_access_format *format)
{
	return format->is_json;
}

void pfi_access_render(const struct pfi_access_format *format, const struct pfi_access_facts *facts,
                       struct pfi_text *line)
{
	if (format->is_json) {
		render_json(facts, line);
		return;
	}
	for (size_t i = 0; i < format->count; i++)
		add_one(line, facts, &format->steps[i]);
}
