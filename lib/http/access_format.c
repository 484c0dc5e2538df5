#include "http/access_format.h"

#include "http/basic.h"
#include "http/date.h"
#include "http/response.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { USER_MAX = 256 };

/* What a step adds. The letters are gunicorn's. */
#define ATOMS(X)                                                                                    \
	X('h', PEER) X('l', NOBODY) X('u', USER) X('t', TIME) X('r', LINE) X('s', STATUS)           \
	X('m', METHOD) X('U', PATH) X('q', QUERY) X('H', PROTOCOL) X('B', BYTES) X('b', BYTES_CLF)  \
	X('f', REFERER) X('a', AGENT) X('T', SECONDS) X('D', MICROS) X('M', MILLIS) X('L', DECIMAL) \
	X('p', PID)

#define ATOM_ENUM(letter, name) ATOM_##name,
enum atom { ATOM_LITERAL, ATOM_REQUEST_FIELD, ATOM_REPLY_FIELD, ATOM_TARGET, ATOMS(ATOM_ENUM) };
#undef ATOM_ENUM

struct step {
	enum atom atom;
	char *text; /* of a literal; of a field its name, in lower case */
	size_t length;
};

struct pfi_access_format {
	size_t count;
	struct step steps[];
};

/* Variables of a request, as CGI calls them, that an atom has too. */
static const struct {
	const char *name;
	enum atom atom;
} variables[] = {
	{ "REMOTE_ADDR", ATOM_PEER },    { "REMOTE_USER", ATOM_USER },         { "REQUEST_METHOD", ATOM_METHOD },
	{ "PATH_INFO", ATOM_PATH },      { "QUERY_STRING", ATOM_QUERY },       { "RAW_URI", ATOM_TARGET },
	{ "REQUEST_URI", ATOM_TARGET },  { "SERVER_PROTOCOL", ATOM_PROTOCOL }, { "HTTP_REFERER", ATOM_REFERER },
	{ "HTTP_USER_AGENT", ATOM_AGENT },
};

static int add_step(struct pfi_access_format *format, enum atom atom, const char *text, size_t length)
{
	char *const copy = strndup(text, length);

	if (copy == NULL)
		return prefork_fail(-ENOMEM, "no memory for access_log_format");
	format->steps[format->count++] = (struct step){ atom, copy, length };
	return 0;
}

static int add_literal(struct pfi_access_format *format, const char *text, size_t length)
{
	return length > 0 ? add_step(format, ATOM_LITERAL, text, length) : 0;
}

static int add_letter(struct pfi_access_format *format, char letter)
{
	switch (letter) {
#define ATOM_CASE(a_letter, name) \
	case a_letter:            \
		return add_step(format, ATOM_##name, "", 0);
		ATOMS(ATOM_CASE)
#undef ATOM_CASE
	default:
		return -ENOENT;
	}
}

static int add_field(struct pfi_access_format *format, enum atom atom, const char *name, size_t length)
{
	const int r = add_step(format, atom, name, length);

	if (r < 0)
		return r;
	for (char *c = format->steps[format->count - 1].text; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	return 0;
}

/* The name of the field that CGI calls so: "X_ID" behind "HTTP_". */
static int add_field_of_variable(struct pfi_access_format *format, const char *name, size_t length)
{
	const int r = add_field(format, ATOM_REQUEST_FIELD, name, length);

	if (r < 0)
		return r;
	for (char *c = format->steps[format->count - 1].text; *c != '\0'; c++) {
		if (*c == '_')
			*c = '-';
	}
	return 0;
}

static void add_safely(struct pfi_text *line, const char *bytes, size_t length);

/* A variable of the process is what it was when the worker was born. */
static int add_variable(struct pfi_access_format *format, const char *name, size_t length,
                        char *(*variable)(const char *name))
{
	char room[1024];
	struct pfi_text value;

	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
		if (strlen(variables[i].name) == length && memcmp(variables[i].name, name, length) == 0)
			return add_step(format, variables[i].atom, "", 0);
	}
	if (length > 5 && memcmp(name, "HTTP_", 5) == 0)
		return add_field_of_variable(format, name + 5, length - 5);
	if ((length == 12 && memcmp(name, "CONTENT_TYPE", 12) == 0) ||
	    (length == 14 && memcmp(name, "CONTENT_LENGTH", 14) == 0))
		return add_field_of_variable(format, name, length);

	pfi_text_init(&value, room, sizeof room);
	pfi_text_add_bytes(&value, name, length);
	const char *const set = value.cut ? NULL : variable(room);
	pfi_text_init(&value, room, sizeof room);
	add_safely(&value, set != NULL ? set : "-", set != NULL ? strlen(set) : 1);
	return add_literal(format, room, value.length);
}

/* "{Name}i" and its like: what is between the braces, and what it is of. */
static int add_named(struct pfi_access_format *format, const char *atom, size_t length, size_t column,
                     char *(*variable)(const char *name))
{
	const char *const name = atom + 1;
	const size_t name_length = length - 3;

	if (!pfi_token_valid(name, name_length))
		return prefork_fail(-EINVAL, "access_log_format: \"%.*s\" at column %zu: a name between { and } is of "
		                    "letters, digits and hyphens", (int)length, atom, column);
	switch (atom[length - 1]) {
	case 'i':
		return add_field(format, ATOM_REQUEST_FIELD, name, name_length);
	case 'o':
		return add_field(format, ATOM_REPLY_FIELD, name, name_length);
	case 'e':
		return add_variable(format, name, name_length, variable);
	default:
		return -ENOENT;
	}
}

/* `atom` is what stands between "%(" and ")s". */
static int add_atom(struct pfi_access_format *format, const char *atom, size_t length, size_t column,
                    char *(*variable)(const char *name))
{
	int r = -ENOENT;

	if (length == 1)
		r = add_letter(format, *atom);
	else if (length >= 3 && atom[0] == '{' && atom[length - 2] == '}')
		r = add_named(format, atom, length, column, variable);
	if (r == -ENOENT)
		return prefork_fail(-EINVAL, "access_log_format: there is no %%(%.*s)s (column %zu); there are h l u t r m U "
		                    "q H s B b f a T D M L p {Header}i {Header}o {Variable}e", (int)length, atom, column);
	return r;
}

/* What begins with the '%' at `at`. Sets `*ret_end` behind it. */
static int add_percent(struct pfi_access_format *format, const char *text, const char *at, const char **ret_end,
                       char *(*variable)(const char *name))
{
	const size_t column = (size_t)(at - text) + 1;
	const char *const close = at[1] == '(' ? strchr(at, ')') : NULL;

	*ret_end = at + 2;
	if (at[1] == '%')
		return add_literal(format, "%", 1);
	if (at[1] != '(')
		return prefork_fail(-EINVAL, "access_log_format: the %% at column %zu is followed by neither ( nor "
		                    "another %%", column);
	if (close == NULL)
		return prefork_fail(-EINVAL, "access_log_format: the %%( at column %zu lacks its )s", column);
	if (close[1] != 's')
		return prefork_fail(-EINVAL, "access_log_format: %.*s (column %zu) must end with )s",
		                    (int)(close + 1 - at), at, column);
	*ret_end = close + 2;
	return add_atom(format, at + 2, (size_t)(close - at) - 2, column, variable);
}

int pfi_access_compile(const char *text, char *(*variable)(const char *name), struct pfi_access_format **ret)
{
	size_t percents = 0;
	int r = 0;

	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' && *c != '\t')
			return prefork_fail(-EINVAL, "access_log_format: a control character at column %zu",
			                    (size_t)(c - text) + 1);
		percents += *c == '%';
	}
	struct pfi_access_format *const format = calloc(1, sizeof *format + (2 * percents + 1) * sizeof format->steps[0]);
	if (format == NULL)
		return prefork_fail(-ENOMEM, "no memory for access_log_format");

	for (const char *c = text; r == 0 && *c != '\0';) {
		const size_t plain = strcspn(c, "%");

		r = add_literal(format, c, plain);
		c += plain;
		if (r == 0 && *c == '%')
			r = add_percent(format, text, c, &c, variable);
	}
	if (r < 0) {
		pfi_access_format_destroy(format);
		return r;
	}
	*ret = format;
	return 0;
}

void pfi_access_format_destroy(struct pfi_access_format *format)
{
	if (format == NULL)
		return;
	for (size_t i = 0; i < format->count; i++)
		free(format->steps[i].text);
	free(format);
}

static bool is_plain(char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* Bytes from outside. Nearly all of them stay as they are. */
static void add_safely(struct pfi_text *line, const char *bytes, size_t length)
{
	size_t at = 0;

	while (at < length) {
		size_t end = at;

		while (end < length && is_plain(bytes[end]))
			end++;
		pfi_text_add_bytes(line, bytes + at, end - at);
		for (at = end; end < length && !is_plain(bytes[end]) && bytes[end] != '"'; end++)
			;
		pfi_text_add_escaped(line, bytes + at, end - at);
		for (at = end; at < length && bytes[at] == '"'; at++)
			pfi_text_add_bytes(line, "\\\"", 2);
	}
}

static void add_or_dash(struct pfi_text *line, const char *bytes, size_t length)
{
	if (bytes == NULL || length == 0)
		pfi_text_add_char(line, '-');
	else
		add_safely(line, bytes, length);
}

static void add_number(struct pfi_text *line, uint64_t number)
{
	char digits[20];

	pfi_text_add_bytes(line, digits, pfi_decimal(digits, number));
}

static void add_span(struct pfi_text *line, const struct pfi_access_facts *facts, const struct pfi_span *span)
{
	add_or_dash(line, facts->bytes + span->at, span->length);
}

static void add_known_field(struct pfi_text *line, const struct pfi_access_facts *facts, enum pfi_field_id id)
{
	const struct pfi_field *const field = facts->head != NULL ? pfi_head_field(facts->head, id) : NULL;

	if (field == NULL)
		pfi_text_add_char(line, '-');
	else
		add_span(line, facts, &field->value);
}

static void add_request_field(struct pfi_text *line, const struct pfi_access_facts *facts, const struct step *step)
{
	for (uint32_t i = 0; facts->head != NULL && i < facts->head->fields_count; i++) {
		const struct pfi_field *const field = &facts->head->fields[i];

		if (pfi_text_is(facts->bytes + field->name.at, field->name.length, step->text, step->length)) {
			add_span(line, facts, &field->value);
			return;
		}
	}
	pfi_text_add_char(line, '-');
}

/* The response's head is ours, so every line in it is "Name: value\r\n". */
static void add_reply_field(struct pfi_text *line, const struct pfi_access_facts *facts, const struct step *step)
{
	const char *at = facts->reply, *const end = at != NULL ? at + facts->reply_length : NULL;

	while (at != NULL && at < end) {
		const char *const stop = memchr(at, '\n', (size_t)(end - at));
		const size_t length = stop != NULL ? (size_t)(stop - at) : (size_t)(end - at);

		if (length > step->length + 2 && at[step->length] == ':' &&
		    pfi_text_is(at, step->length, step->text, step->length)) {
			add_or_dash(line, at + step->length + 2, length - step->length - 3);
			return;
		}
		at = stop != NULL ? stop + 1 : NULL;
	}
	pfi_text_add_char(line, '-');
}

static void add_protocol(struct pfi_text *line, const struct pfi_access_facts *facts)
{
	const char minor = (char)('0' + facts->head->minor);

	pfi_text_add_bytes(line, "HTTP/1.", 7);
	pfi_text_add_char(line, minor);
}

/* Of a head that was never complete, its first line, as far as it came. */
static void add_request_line(struct pfi_text *line, const struct pfi_access_facts *facts)
{
	const char *const bytes = facts->bytes;
	size_t at = 0, end;

	if (facts->head != NULL) {
		add_span(line, facts, &facts->head->method);
		pfi_text_add_char(line, ' ');
		add_span(line, facts, &facts->head->target);
		pfi_text_add_char(line, ' ');
		add_protocol(line, facts);
		return;
	}
	while (at < facts->length && at < 2 && (bytes[at] == '\r' || bytes[at] == '\n'))
		at++; /* the one empty line that is forgiven */
	for (end = at; end < facts->length && bytes[end] != '\r' && bytes[end] != '\n';)
		end++;
	add_or_dash(line, bytes + at, end - at);
}

static void add_user(struct pfi_text *line, const struct pfi_access_facts *facts)
{
	const struct pfi_field *const field =
		facts->head != NULL ? pfi_head_field(facts->head, PFI_FIELD_AUTHORIZATION) : NULL;
	char user[USER_MAX];

	add_or_dash(line, user, field == NULL ? 0 : pfi_basic_user(facts->bytes + field->value.at,
	                                                           field->value.length, user, sizeof user));
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

/* Steps about the request line, which there may be none of. */
static void add_of_line(struct pfi_text *line, const struct pfi_access_facts *facts, enum atom atom)
{
	const struct pfi_head *const head = facts->head;

	if (head == NULL)
		pfi_text_add_char(line, '-');
	else if (atom == ATOM_PROTOCOL)
		add_protocol(line, facts);
	else if (atom == ATOM_QUERY) /* empty is an answer here, as it is with gunicorn */
		add_safely(line, facts->bytes + head->query.at, head->has_query ? head->query.length : 0);
	else
		add_span(line, facts, atom == ATOM_METHOD ? &head->method : atom == ATOM_PATH ? &head->path : &head->target);
}

static void add_one(struct pfi_text *line, const struct pfi_access_facts *facts, const struct step *step)
{
	switch (step->atom) {
	case ATOM_LITERAL:
		pfi_text_add_bytes(line, step->text, step->length);
		break;
	case ATOM_REQUEST_FIELD:
		add_request_field(line, facts, step);
		break;
	case ATOM_REPLY_FIELD:
		add_reply_field(line, facts, step);
		break;
	case ATOM_METHOD:
	case ATOM_TARGET:
	case ATOM_PATH:
	case ATOM_QUERY:
	case ATOM_PROTOCOL:
		add_of_line(line, facts, step->atom);
		break;
	case ATOM_PEER:
		add_or_dash(line, facts->peer, strlen(facts->peer));
		break;
	case ATOM_NOBODY:
		pfi_text_add_char(line, '-');
		break;
	case ATOM_USER:
		add_user(line, facts);
		break;
	case ATOM_TIME:
		pfi_text_add_bytes(line, facts->time, PFI_DATE_LOG_LENGTH);
		break;
	case ATOM_LINE:
		add_request_line(line, facts);
		break;
	case ATOM_STATUS:
		add_number(line, (uint64_t)facts->status);
		break;
	case ATOM_BYTES_CLF:
		if (facts->sent == 0) {
			pfi_text_add_char(line, '-');
			break;
		}
		/* fall through */
	case ATOM_BYTES:
		add_number(line, facts->sent);
		break;
	case ATOM_REFERER:
		add_known_field(line, facts, PFI_FIELD_REFERER);
		break;
	case ATOM_AGENT:
		add_known_field(line, facts, PFI_FIELD_USER_AGENT);
		break;
	case ATOM_SECONDS:
		add_number(line, facts->took_us / 1000000);
		break;
	case ATOM_MILLIS:
		add_number(line, facts->took_us / 1000);
		break;
	case ATOM_MICROS:
		add_number(line, facts->took_us);
		break;
	case ATOM_DECIMAL:
		add_decimal(line, facts->took_us);
		break;
	case ATOM_PID:
		pfi_text_add_char(line, '<');
		add_number(line, (uint64_t)facts->pid);
		pfi_text_add_char(line, '>');
		break;
	}
}

void pfi_access_render(const struct pfi_access_format *format, const struct pfi_access_facts *facts,
                       struct pfi_text *line)
{
	for (size_t i = 0; i < format->count; i++)
		add_one(line, facts, &format->steps[i]);
}
