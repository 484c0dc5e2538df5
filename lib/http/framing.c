/* Decides body length, keep-alive and 100 Continue of a request from its header fields. Every ambiguous combination
 * is refused. */
#include "http/framing.h"

#include "http/target.h"

static enum pfi_verdict refuse(struct pfi_framing *framing, uint16_t status, const char *problem)
{
	framing->http_error = (struct pfi_http_error){ status, problem };
	return PFI_BAD;
}

int pfi_length_parse(const char *text, size_t length, uint64_t *ret_length)
{
	uint64_t value = 0;

	if (length == 0)
		return -1;
	for (size_t i = 0; i < length; i++) {
		if (!pfi_char_is(text[i], PFI_CHAR_DIGIT))
			return -1;
		const uint64_t digit = (uint64_t)(text[i] - '0');
		value = value > (INT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
	}
	*ret_length = value;
	return 0;
}

bool pfi_list_next(const char *text, size_t length, size_t *position, struct pfi_span *ret_element)
{
	size_t from = *position;
	size_t end = from;

	if (from > length)
		return false;
	while (end < length && text[end] != ',')
		end++;
	*position = end + 1;
	while (from < end && (text[from] == ' ' || text[from] == '\t'))
		from++;
	while (end > from && (text[end - 1] == ' ' || text[end - 1] == '\t'))
		end--;
	*ret_element = (struct pfi_span){ (uint32_t)from, (uint32_t)(end - from) };
	return true;
}

/* Calls `each` with every element of every field of this name. */
static enum pfi_verdict for_elements(struct pfi_framing *framing, const struct pfi_head *head,
                                     const char *bytes, enum pfi_field_id id,
                                     enum pfi_verdict (*each)(struct pfi_framing *, const char *, size_t))
{
	if (!(head->seen & PFI_FIELD_BIT(id)))
		return PFI_DONE;
	for (uint32_t i = head->first[id]; i < head->fields_count; i++) {
		const struct pfi_span value = head->fields[i].value;
		struct pfi_span element;
		size_t position = 0;

		if (head->fields[i].id != id)
			continue;
		while (pfi_list_next(bytes + value.at, value.length, &position, &element))
			if (each(framing, bytes + value.at + element.at, element.length) == PFI_BAD)
				return PFI_BAD;
	}
	return PFI_DONE;
}

#define IS(text, length, literal) pfi_text_is(text, length, literal, sizeof(literal) - 1)

/* Only `chunked`, once and last. A coding after it, or a parameter, makes a second reading of the same bytes possible. */
static enum pfi_verdict each_coding(struct pfi_framing *framing, const char *text, size_t length)
{
	size_t name = 0;

	while (name < length && pfi_char_is(text[name], PFI_CHAR_TOKEN))
		name++;
	if (name == 0 || framing->body == PFI_BODY_CHUNKED)
		return refuse(framing, 400, "Transfer-Encoding does not end with one chunked");
	if (!IS(text, name, "chunked")) {
		if (name < length && text[name] != ';' && text[name] != ' ' && text[name] != '\t')
			return refuse(framing, 400, "Transfer-Encoding is not a list of codings");
		framing->foreign_coding = true; /* 501, unless the rest of the list is malformed (400) */
		return PFI_DONE;
	}
	if (name < length)
		return refuse(framing, 400, "chunked takes no parameter");
	framing->body = PFI_BODY_CHUNKED;
	return PFI_DONE;
}

static enum pfi_verdict each_connection(struct pfi_framing *framing, const char *text, size_t length)
{
	framing->asks_close |= IS(text, length, "close");
	framing->asks_keep_alive |= IS(text, length, "keep-alive");
	framing->upgrade |= IS(text, length, "upgrade");
	return PFI_DONE;
}

static enum pfi_verdict each_expectation(struct pfi_framing *framing, const char *text, size_t length)
{
	if (!IS(text, length, "100-continue"))
		return refuse(framing, 417, "an expectation other than 100-continue");
	framing->expects_continue = true;
	return PFI_DONE;
}

static enum pfi_verdict decide_host(struct pfi_framing *framing, struct pfi_head *head,
                                    const char *bytes)
{
	const struct pfi_field *const host = pfi_head_field(head, PFI_FIELD_HOST);

	if (host == NULL)
		return head->minor == 0 ? PFI_DONE : refuse(framing, 400, "Host is missing");
	if (!pfi_host_valid(bytes + host->value.at, host->value.length))
		return refuse(framing, 400, "Host is not a host");
	if (head->authority.length > 0)
		head->fields[head->first[PFI_FIELD_HOST]].value = head->authority;
	return PFI_DONE;
}

static enum pfi_verdict decide_repeated(struct pfi_framing *framing, const struct pfi_head *head)
{
	if (head->repeated == 0)
		return PFI_DONE;
	for (unsigned id = 1; id < PFI_FIELD_COUNT; id++)
		if ((head->repeated & PFI_FIELD_BIT(id)) &&
		    (pfi_field_rules((enum pfi_field_id)id) & PFI_FIELD_ONCE))
			return refuse(framing, 400, "a header field that must be unique is repeated");
	return PFI_DONE;
}

static enum pfi_verdict decide_coding(struct pfi_framing *framing, const struct pfi_head *head,
                                      const char *bytes)
{
	if (head->seen & PFI_FIELD_BIT(PFI_FIELD_CONTENT_LENGTH))
		return refuse(framing, 400, "both Transfer-Encoding and Content-Length");
	if (head->minor == 0)
		return refuse(framing, 400, "Transfer-Encoding in HTTP/1.0");
	if (for_elements(framing, head, bytes, PFI_FIELD_TRANSFER_ENCODING, each_coding) == PFI_BAD)
		return PFI_BAD;
	if (framing->foreign_coding)
		return refuse(framing, 501, "a transfer coding other than chunked");
	return PFI_DONE;
}

static enum pfi_verdict decide_length(struct pfi_framing *framing, const struct pfi_head *head,
                                      const char *bytes)
{
	const struct pfi_field *const field = pfi_head_field(head, PFI_FIELD_CONTENT_LENGTH);

	if (pfi_length_parse(bytes + field->value.at, field->value.length, &framing->length) != 0)
		return refuse(framing, 400, "Content-Length is not a number");
	if (framing->length == UINT64_MAX || framing->length > head->limits->body_max)
		return refuse(framing, 413, "the body is too large");
	framing->body = framing->length > 0 ? PFI_BODY_LENGTH : PFI_BODY_NONE;
	return PFI_DONE;
}

static void decide_connection(struct pfi_framing *framing, const struct pfi_head *head,
                              const char *bytes)
{
	(void)for_elements(framing, head, bytes, PFI_FIELD_CONNECTION, each_connection);
	framing->keep_alive = !framing->asks_close && (head->minor > 0 || framing->asks_keep_alive);
	framing->upgrade = framing->upgrade && head->minor > 0 &&
	                   (head->seen & PFI_FIELD_BIT(PFI_FIELD_UPGRADE)) != 0;
}

enum pfi_verdict pfi_framing_decide(struct pfi_framing *framing, struct pfi_head *head,
                                    const char *bytes)
{
	*framing = (struct pfi_framing){ .body = PFI_BODY_NONE };

	if (decide_repeated(framing, head) == PFI_BAD || decide_host(framing, head, bytes) == PFI_BAD)
		return PFI_BAD;
	if ((head->seen & PFI_FIELD_BIT(PFI_FIELD_TRANSFER_ENCODING)) &&
	    decide_coding(framing, head, bytes) == PFI_BAD)
		return PFI_BAD;
	if ((head->seen & PFI_FIELD_BIT(PFI_FIELD_CONTENT_LENGTH)) &&
	    decide_length(framing, head, bytes) == PFI_BAD)
		return PFI_BAD;
	if (head->minor > 0 &&
	    for_elements(framing, head, bytes, PFI_FIELD_EXPECT, each_expectation) == PFI_BAD)
		return PFI_BAD;
	decide_connection(framing, head, bytes);
	return PFI_DONE;
}
