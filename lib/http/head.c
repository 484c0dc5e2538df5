/* The parser of a request head: one function per state, each of which continues where the input ended. */
#include "http/head.h"

#include "http/target.h"

#include <string.h>

/* The position of the next byte in the grammar. */
enum head_state {
	STATE_START,      /* one empty line before a request is skipped (RFC 9112 2.2) */
	STATE_START_LF,
	STATE_METHOD,
	STATE_TARGET,
	STATE_VERSION,
	STATE_LINE_LF,
	STATE_FIELD,      /* first byte of a field line, or of the empty line */
	STATE_NAME,
	STATE_BLANKS,     /* between the colon and the value */
	STATE_VALUE,
	STATE_VALUE_LF,
	STATE_END_LF,
	STATE_DONE,
	STATE_BAD,
};

enum { METHOD_MIN = 3, METHOD_MAX = 20 };

/* The steps below return MORE at the end of the input, BAD, or DONE after they have entered another state. */

static enum pfi_verdict refuse(struct pfi_head *head, uint16_t status, const char *problem)
{
	head->http_error = (struct pfi_http_error){ status, problem };
	head->state = STATE_BAD;
	return PFI_BAD;
}

static enum pfi_verdict go(struct pfi_head *head, uint32_t at, enum head_state state)
{
	head->at = at;
	head->part_at = at;
	head->state = (uint8_t)state;
	return PFI_DONE;
}

static enum pfi_verdict wait_at(struct pfi_head *head, uint32_t at)
{
	head->at = at;
	return PFI_MORE;
}

/* Where to stop: at the end of the input, or one byte after the limit. */
static uint32_t stop_at(uint32_t length, uint32_t limit)
{
	return length <= limit ? length : limit + 1;
}

static enum pfi_verdict step_lf(struct pfi_head *head, const char *bytes, enum head_state next)
{
	if (bytes[head->at] != '\n')
		return refuse(head, 400, "a carriage return without a line feed");
	head->line_at = head->at + 1;
	return go(head, head->at + 1, next);
}

/* A method is a token (RFC 9110 9.1); by convention it has 3 to 20 bytes, and no lower case letters or '#'. Called at
 * the first byte that is against the convention. */
static uint32_t skip_unconventional(struct pfi_head *head, const char *bytes, uint32_t i, uint32_t length)
{
	for (; i < length && pfi_char_is(bytes[i], PFI_CHAR_TOKEN); i++) {
		const bool is_small = bytes[i] >= 'a' && bytes[i] <= 'z';

		head->method_is_small |= is_small;
		head->method_is_odd |= !is_small && !pfi_char_is(bytes[i], PFI_CHAR_METHOD);
	}
	return i;
}

/* An unknown method gets 501 (RFC 9110 9.1). */
static bool is_implemented(const struct pfi_head *head)
{
	const struct pfi_limits *const limits = head->limits;

	return limits->any_method ||
	       (head->method.length >= METHOD_MIN && !head->method_is_odd &&
	        (!head->method_is_small || limits->fold_method));
}

static bool is_conventional(const struct pfi_head *head)
{
	return head->method.length - METHOD_MIN <= METHOD_MAX - METHOD_MIN && !head->method_is_small &&
	       !head->method_is_odd;
}

static enum pfi_verdict step_method(struct pfi_head *head, const char *bytes, uint32_t length)
{
	uint32_t i = head->at;

	while (i < length && pfi_char_is(bytes[i], PFI_CHAR_METHOD))
		i++;
	if (i < length && bytes[i] != ' ')
		i = skip_unconventional(head, bytes, i, length);
	head->method = (struct pfi_span){ head->part_at, i - head->part_at };
	if (i < length && bytes[i] == ' ' && is_conventional(head))
		return go(head, i + 1, STATE_TARGET);
	if (head->method.length > (head->limits->any_method ? head->limits->line_max : METHOD_MAX))
		return refuse(head, 501, "the method is too long");
	if (i == length)
		return wait_at(head, i);
	if (bytes[i] != ' ' || head->method.length == 0)
		return refuse(head, 400, "the request does not begin with a method");
	if (!is_implemented(head))
		return refuse(head, 501, "the method is not implemented");
	return go(head, i + 1, STATE_TARGET);
}

static enum pfi_verdict step_target(struct pfi_head *head, const char *bytes, uint32_t length)
{
	const uint32_t limit = head->line_at + head->limits->line_max;
	const uint32_t stop = stop_at(length, limit);
	uint32_t i = head->at;

	while (i < stop && pfi_char_is(bytes[i], PFI_CHAR_TARGET))
		i++;
	if (i > limit)
		return refuse(head, 414, "the request line is too long");
	if (i == length)
		return wait_at(head, i);
	head->target = (struct pfi_span){ head->part_at, i - head->part_at };
	if (bytes[i] != ' ')
		return refuse(head, 400, "the request target is not followed by a version");
	if (head->target.length == 0)
		return refuse(head, 400, "the request target is empty");
	return go(head, i + 1, STATE_VERSION);
}

/* "HTTP/d.d" and the CR after it. */
static enum pfi_verdict match_version(struct pfi_head *head, const char *bytes, uint32_t length)
{
	static const char shape[] = "HTTP/0.0\r";
	const char *const text = bytes + head->part_at;

	for (uint32_t i = head->at - head->part_at; i < sizeof shape - 1; i++) {
		if (head->part_at + i == length)
			return wait_at(head, length);
		if (shape[i] == '0' ? !pfi_char_is(text[i], PFI_CHAR_DIGIT) : text[i] != shape[i])
			return refuse(head, 400, "the version is not HTTP/1.1 or HTTP/1.0");
	}
	return PFI_DONE;
}

static enum pfi_verdict step_version(struct pfi_head *head, const char *bytes, uint32_t length)
{
	const char *const text = bytes + head->part_at;
	const bool is_usual = length - head->part_at >= 9 && memcmp(text, "HTTP/1.1\r", 9) == 0;
	const enum pfi_verdict verdict = is_usual ? PFI_DONE : match_version(head, bytes, length);

	if (verdict != PFI_DONE)
		return verdict;
	if (head->part_at + 8 - head->line_at > head->limits->line_max)
		return refuse(head, 414, "the request line is too long");
	if (text[5] != '1')
		return refuse(head, 505, "the version is not HTTP/1.1 or HTTP/1.0");
	head->minor = (uint8_t)(text[7] - '0');
	return go(head, head->part_at + 9, STATE_LINE_LF);
}

static enum pfi_verdict step_line_lf(struct pfi_head *head, const char *bytes)
{
	const enum pfi_verdict verdict = step_lf(head, bytes, STATE_FIELD);

	if (verdict == PFI_DONE && !pfi_target_split(head, bytes))
		return refuse(head, 400, "the request target has a form that its method does not allow");
	return verdict;
}

static enum pfi_verdict step_field(struct pfi_head *head, const char *bytes)
{
	switch (bytes[head->at]) {
	case '\r':
		return go(head, head->at + 1, STATE_END_LF);
	case ' ':
	case '\t':
		return refuse(head, 400, "a header line begins with a blank");
	default:
		break;
	}
	if (head->fields_count >= head->limits->fields_max)
		return refuse(head, 431, "too many header fields");
	return go(head, head->at, STATE_NAME);
}

/* The last byte a field line may have before its CRLF is at limit - 1. */
static uint32_t field_limit(const struct pfi_head *head)
{
	return head->line_at + head->limits->field_max - 2;
}

static enum pfi_verdict step_name(struct pfi_head *head, const char *bytes, uint32_t length)
{
	const uint32_t limit = field_limit(head);
	const uint32_t stop = stop_at(length, limit);
	uint32_t i = head->at;

	while (i < stop && pfi_char_is(bytes[i], PFI_CHAR_TOKEN))
		i++;
	if (i > limit || i - head->part_at > PFI_NAME_MAX)
		return refuse(head, 431, "a header field is too long");
	if (i == length)
		return wait_at(head, i);
	if (bytes[i] == ' ' || bytes[i] == '\t')
		return refuse(head, 400, "a blank in a header name or before its colon");
	if (bytes[i] != ':' || i == head->part_at)
		return refuse(head, 400, "a header line without a name and a colon");

	const uint32_t size = i - head->part_at;
	const enum pfi_field_id id = pfi_field_find(bytes + head->part_at, size);
	/* No known name has one. */
	const bool underscore = id == PFI_FIELD_OTHER && memchr(bytes + head->part_at, '_', size) != NULL;

	struct pfi_field *const field = &head->fields[head->fields_count];
	field->name = (struct pfi_span){ head->part_at, size };
	field->id = (uint8_t)id;
	field->underscore = underscore;
	if (i + 2 < length && bytes[i + 1] == ' ' && bytes[i + 2] != ' ' && bytes[i + 2] != '\t')
		return go(head, i + 2, STATE_VALUE); /* the common case: one space after the colon */
	return go(head, i + 1, STATE_BLANKS);
}

static enum pfi_verdict step_blanks(struct pfi_head *head, const char *bytes, uint32_t length)
{
	const uint32_t limit = field_limit(head);
	const uint32_t stop = stop_at(length, limit);
	uint32_t i = head->at;

	while (i < stop && (bytes[i] == ' ' || bytes[i] == '\t'))
		i++;
	if (i > limit)
		return refuse(head, 431, "a header field is too long");
	if (i == length)
		return wait_at(head, i);
	return go(head, i, STATE_VALUE);
}

static enum pfi_verdict step_value(struct pfi_head *head, const char *bytes, uint32_t length)
{
	const uint32_t limit = field_limit(head);
	const uint32_t stop = stop_at(length, limit);
	const uint32_t i = head->at >= stop ? head->at :
	                   (uint32_t)(pfi_value_end(bytes + head->at, bytes + stop) - bytes);

	if (i > limit)
		return refuse(head, 431, "a header field is too long");
	if (i == length)
		return wait_at(head, i);
	if (bytes[i] == '\n')
		return refuse(head, 400, "a line feed without a carriage return");
	if (bytes[i] != '\r')
		return refuse(head, 400, "a control character in a header value");

	uint32_t end = i;
	while (end > head->part_at && (bytes[end - 1] == ' ' || bytes[end - 1] == '\t'))
		end--;
	head->fields[head->fields_count].value = (struct pfi_span){ head->part_at, end - head->part_at };
	return go(head, i + 1, STATE_VALUE_LF);
}

static enum pfi_verdict step_value_lf(struct pfi_head *head, const char *bytes)
{
	const struct pfi_field *const field = &head->fields[head->fields_count];
	const uint64_t bit = PFI_FIELD_BIT(field->id);

	if (step_lf(head, bytes, STATE_FIELD) == PFI_BAD)
		return PFI_BAD;
	if (head->at > head->limits->head_max)
		return refuse(head, 431, "the header is too long");
	if (head->seen & bit)
		head->repeated |= bit;
	else
		head->first[field->id] = (uint16_t)head->fields_count;
	head->seen |= bit;
	head->underscores_count += field->underscore;
	head->fields_count++;
	return PFI_DONE;
}

static enum pfi_verdict step_start(struct pfi_head *head, const char *bytes)
{
	if (bytes[head->at] == '\r')
		return go(head, head->at + 1, STATE_START_LF);
	return go(head, head->at, STATE_METHOD);
}

static enum pfi_verdict step(struct pfi_head *head, const char *bytes, uint32_t length)
{
	switch ((enum head_state)head->state) {
	case STATE_START:
		return step_start(head, bytes);
	case STATE_START_LF:
		return step_lf(head, bytes, STATE_METHOD);
	case STATE_METHOD:
		return step_method(head, bytes, length);
	case STATE_TARGET:
		return step_target(head, bytes, length);
	case STATE_VERSION:
		return step_version(head, bytes, length);
	case STATE_LINE_LF:
		return step_line_lf(head, bytes);
	case STATE_FIELD:
		return step_field(head, bytes);
	case STATE_NAME:
		return step_name(head, bytes, length);
	case STATE_BLANKS:
		return step_blanks(head, bytes, length);
	case STATE_VALUE:
		return step_value(head, bytes, length);
	case STATE_VALUE_LF:
		return step_value_lf(head, bytes);
	case STATE_END_LF:
		return step_lf(head, bytes, STATE_DONE);
	case STATE_DONE:
	case STATE_BAD:
		break;
	}
	return PFI_BAD;
}

void pfi_head_start(struct pfi_head *head, struct pfi_field *fields, const struct pfi_limits *limits)
{
	/* `first` is not cleared: only members with a bit in `seen` are valid. */
	memset(head, 0, offsetof(struct pfi_head, first));
	head->http_error = (struct pfi_http_error){ 0, NULL };
	head->fields = fields;
	head->limits = limits;
}

enum pfi_verdict pfi_head_feed(struct pfi_head *head, const char *bytes, size_t length)
{
	const uint32_t end = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;
	enum pfi_verdict verdict;

	if (head->state >= STATE_DONE)
		return head->state == STATE_DONE ? PFI_DONE : PFI_BAD;
	do {
		if (head->at >= end)
			return PFI_MORE;
		verdict = step(head, bytes, end);
	} while (verdict == PFI_DONE && head->state != STATE_DONE);
	return verdict;
}

void pfi_head_drop_underscores(struct pfi_head *head)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < head->fields_count; i++) {
		const struct pfi_field field = head->fields[i];
		if (field.underscore)
			continue;
		if (head->first[field.id] == i)
			head->first[field.id] = (uint16_t)kept;
		head->fields[kept++] = field;
	}
	head->fields_count = kept;
	head->underscores_count = 0;
}
