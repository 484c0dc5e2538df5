/* Writes status line and header fields of a response into a buffer, and the error pages of the library. */
#include "http/response_head.h"

#include "http/date.h"
#include "http/fields.h"
#include "http/status.h"

#include <errno.h>

int pfi_out_add(struct pfi_out *out, const char *bytes, size_t length)
{
	if (!pfi_out_fits(out, length))
		return -ENOSPC;
	memcpy(out->bytes + out->length, bytes, length);
	out->length += length;
	return 0;
}

size_t pfi_decimal(char *text, uint64_t number)
{
	char reversed[20];
	size_t length = 0;

	do {
		reversed[length++] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	for (size_t i = 0; i < length; i++)
		text[i] = reversed[length - 1 - i];
	return length;
}

size_t pfi_chunk_prefix(char *text, uint64_t length)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;
	int shift = 60;

	while (shift > 0 && length >> shift == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		text[used++] = digits[length >> shift & 15];
	text[used++] = '\r';
	text[used++] = '\n';
	return used;
}

/* Not inlined: pfi_response_line() needs no stack protector. */
__attribute__((noinline)) static int custom_line(struct pfi_out *out, int status, const char *reason)
{
	const size_t length = strlen(reason);
	char number[20];

	if (!pfi_value_valid(reason, length))
		return -EINVAL;
	if (!pfi_out_fits(out, length + sizeof "HTTP/1.1 200 \r\n" - 1))
		return -ENOSPC;
	(void)PFI_OUT_LITERAL(out, "HTTP/1.1 ");
	(void)pfi_out_add(out, number, pfi_decimal(number, (uint64_t)status));
	(void)PFI_OUT_LITERAL(out, " ");
	(void)pfi_out_add(out, reason, length);
	return PFI_OUT_LITERAL(out, "\r\n");
}

int pfi_response_line(struct pfi_out *out, int status, const char *reason)
{
	size_t length = 0;
	const char *const line = pfi_status_line(status, &length);

	if (status < 100 || status > 999)
		return -EINVAL;
	if (line != NULL && (reason == NULL || strcmp(reason, pfi_status_reason(status)) == 0))
		return pfi_out_add(out, line, length);
	return custom_line(out, status, reason != NULL ? reason : "Unknown");
}

int pfi_response_field(struct pfi_out *out, const char *name, size_t name_length,
                       const char *value, size_t value_length)
{
	return pfi_token_valid(name, name_length) ? pfi_response_known_field(out, name, name_length, value, value_length)
	                                          : -EINVAL;
}

int pfi_response_known_field(struct pfi_out *out, const char *name, size_t name_length,
                             const char *value, size_t value_length)
{
	if (!pfi_value_valid(value, value_length))
		return -EINVAL;
	/* The sum does not overflow: both texts are in memory, and were read. */
	if (!pfi_out_fits(out, name_length + value_length + 4))
		return -ENOSPC;

	char *at = out->bytes + out->length;
	memcpy(at, name, name_length);
	at += name_length;
	*at++ = ':';
	*at++ = ' ';
	memcpy(at, value, value_length);
	at += value_length;
	*at++ = '\r';
	*at++ = '\n';
	out->length = (size_t)(at - out->bytes);
	return 0;
}

int pfi_response_length(struct pfi_out *out, uint64_t length)
{
	static const char name[] = "Content-Length: ";
	uint64_t rest = length;
	size_t digits = 1;

	while ((rest /= 10) > 0)
		digits++;
	const size_t size = sizeof name - 1 + digits + 2;
	if (!pfi_out_fits(out, size))
		return -ENOSPC;
	char *const text = out->bytes + out->length;
	memcpy(text, name, sizeof name - 1);
	for (size_t i = digits; i > 0; i--, length /= 10)
		text[sizeof name - 2 + i] = (char)('0' + length % 10);
	memcpy(text + size - 2, "\r\n", 2);
	out->length += size;
	return 0;
}

int pfi_response_date(struct pfi_out *out, const char *date)
{
	const size_t size = 6 + PFI_DATE_LENGTH + 2;

	if (!pfi_out_fits(out, size))
		return -ENOSPC;
	char *const text = out->bytes + out->length;
	memcpy(text, "Date: ", 6);
	memcpy(text + 6, date, PFI_DATE_LENGTH);
	memcpy(text + 6 + PFI_DATE_LENGTH, "\r\n", 2);
	out->length += size;
	return 0;
}

enum pfi_response_body pfi_response_body(int status, bool to_head, uint8_t minor, bool has_length)
{
	if (to_head || pfi_status_bodiless(status))
		return PFI_RESPONSE_NONE;
	if (has_length)
		return PFI_RESPONSE_LENGTH;
	return minor > 0 ? PFI_RESPONSE_CHUNKED : PFI_RESPONSE_CLOSE;
}

static void add_escaped(struct pfi_out *out, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '<':
			(void)PFI_OUT_LITERAL(out, "&lt;");
			break;
		case '>':
			(void)PFI_OUT_LITERAL(out, "&gt;");
			break;
		case '&':
			(void)PFI_OUT_LITERAL(out, "&amp;");
			break;
		default:
			(void)pfi_out_add(out, text, 1);
		}
	}
}

int pfi_error_html(struct pfi_out *page, int status, const char *detail)
{
	const char *const reason = pfi_status_reason(status);

	(void)PFI_OUT_LITERAL(page, "<!DOCTYPE html>\n<html><head><title>");
	add_escaped(page, reason);
	(void)PFI_OUT_LITERAL(page, "</title></head><body><h1>");
	add_escaped(page, reason);
	(void)PFI_OUT_LITERAL(page, "</h1>");
	if (detail != NULL) {
		(void)PFI_OUT_LITERAL(page, "<p>");
		add_escaped(page, detail);
		(void)PFI_OUT_LITERAL(page, "</p>");
	}
	return PFI_OUT_LITERAL(page, "</body></html>\n");
}

int pfi_error_response(struct pfi_out *out, int status, const char *detail, const char *date, bool to_head)
{
	char buffer[768];
	struct pfi_out page = { buffer, 0, sizeof buffer };
	const size_t before = out->length;

	int r = pfi_error_html(&page, status, detail);
	if (r == 0)
		r = pfi_response_line(out, status, NULL);
	if (r == 0)
		r = pfi_response_date(out, date);
	if (r == 0)
		r = PFI_OUT_LITERAL(out, "Connection: close\r\nContent-Type: text/html; charset=utf-8\r\n");
	if (r == 0)
		r = pfi_response_length(out, page.length);
	if (r == 0 && status == 503)
		r = PFI_OUT_LITERAL(out, "Retry-After: 1\r\n");
	if (r == 0)
		r = PFI_OUT_LITERAL(out, "\r\n");
	if (r == 0 && !to_head)
		r = pfi_out_add(out, buffer, page.length);
	if (r != 0)
		out->length = before;
	return r;
}
