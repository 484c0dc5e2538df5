/* Builds an error response of the library, with the body and the fields that the application has set in its
 * callback error_page. */
#include "http/error_page.h"

#include "http/fields.h"
#include "http/status.h"

#include "base/required.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	BODY_MAX = 1024 * 1024,
	FIELDS_MAX = 64 * 1024,
	REST_MAX = 512, /* bytes of status line, Date, Connection, Content-Length, Retry-After */
};

int prefork_error_page_status(const struct prefork_error_page *page)
{
	PFI_RETURN_IF_NULL(page, -EINVAL);
	return page->http_error.status;
}

const char *prefork_error_page_detail(const struct prefork_error_page *page)
{
	PFI_RETURN_IF_NULL(page, NULL);
	return page->http_error.detail;
}

int prefork_error_page_body(struct prefork_error_page *page, const char *type, const void *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(page, -EINVAL);
	PFI_RETURN_IF_NULL(type, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(bytes, size, -EINVAL);

	const size_t type_length = strlen(type);

	if (type_length == 0 || !pfi_value_valid(type, type_length))
		return prefork_fail(-EINVAL, "the Content-Type of an error page is empty, or has control characters");
	if (size > BODY_MAX || type_length > FIELDS_MAX)
		return prefork_fail(-E2BIG, "an error page is larger than 1 MiB");
	char *const body = malloc(type_length + 1 + size);
	if (body == NULL)
		return prefork_fail(-ENOMEM, "no memory for an error page");
	memcpy(body, type, type_length + 1);
	if (size > 0)
		memcpy(body + type_length + 1, bytes, size);
	free(page->body);
	page->body = body;
	page->type_length = type_length;
	page->body_length = size;
	return 0;
}

/* The fields that the library sends in every error response. */
static bool is_ours(const char *name, size_t length)
{
	const enum pfi_field_id id = pfi_field_find(name, length);

	return (pfi_field_rules(id) & PFI_FIELD_HOP) || id == PFI_FIELD_CONTENT_LENGTH || id == PFI_FIELD_CONTENT_TYPE ||
	       id == PFI_FIELD_DATE;
}

int prefork_error_page_field(struct prefork_error_page *page, const char *name, const char *value)
{
	PFI_RETURN_IF_NULL(page, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	PFI_RETURN_IF_NULL(value, -EINVAL);

	const size_t name_length = strlen(name), value_length = strlen(value);

	if (!pfi_token_valid(name, name_length) || !pfi_value_valid(value, value_length))
		return prefork_fail(-EINVAL, "a field whose name is no token, or whose value has control characters");
	if (is_ours(name, name_length))
		return prefork_fail(-EPERM, "the field %s of an error page is the library's", name);
	if (name_length > FIELDS_MAX || value_length > FIELDS_MAX)
		return prefork_fail(-E2BIG, "the fields of an error page are larger than 64 KiB");
	const size_t size = page->fields.length + name_length + value_length + 4;
	if (size > FIELDS_MAX)
		return prefork_fail(-E2BIG, "the fields of an error page are larger than 64 KiB");
	char *const bytes = realloc(page->fields.bytes, size);
	if (bytes == NULL)
		return prefork_fail(-ENOMEM, "no memory for a field of an error page");
	page->fields.bytes = bytes;
	page->fields.size = size;
	page->has_retry_after |= strcasecmp(name, "Retry-After") == 0;
	return pfi_response_field(&page->fields, name, name_length, value, value_length);
}

/* The caller's buffer, or new memory. */
static int ensure_space(struct pfi_out *out, size_t size)
{
	if (size <= out->size)
		return 0;
	char *const bytes = malloc(size);
	if (bytes == NULL)
		return -ENOMEM;
	*out = (struct pfi_out){ bytes, 0, size };
	return 0;
}

int pfi_error_page_response(const struct prefork_error_page *page, struct pfi_out *out, const char *date, bool to_head)
{
	static const char html[] = "text/html; charset=utf-8";
	const int status = page->http_error.status;
	char buffer[768];
	struct pfi_out usual = { buffer, 0, sizeof buffer };
	const char *type = html, *body = buffer;
	size_t type_length = sizeof html - 1, length;

	if (page->body == NULL && page->fields.length == 0)
		return pfi_error_response(out, status, page->http_error.detail, date, to_head);
	int r = pfi_error_html(&usual, status, page->http_error.detail);
	length = usual.length;
	if (page->body != NULL) {
		type = page->body;
		type_length = page->type_length;
		body = page->body + type_length + 1;
		length = page->body_length;
	}
	if (r == 0)
		r = ensure_space(out, REST_MAX + page->fields.length + type_length + length);
	if (r < 0)
		return r;
	/* All of it fits. */
	(void)pfi_response_line(out, status, NULL);
	(void)pfi_response_date(out, date);
	(void)PFI_OUT_LITERAL(out, "Connection: close\r\n");
	(void)pfi_response_known_field(out, "Content-Type", 12, type, type_length);
	(void)pfi_response_length(out, length);
	if (status == 503 && !page->has_retry_after)
		(void)PFI_OUT_LITERAL(out, "Retry-After: 1\r\n");
	(void)pfi_out_add(out, page->fields.bytes, page->fields.length);
	r = PFI_OUT_LITERAL(out, "\r\n");
	return r == 0 && !to_head ? pfi_out_add(out, body, length) : r;
}

void pfi_error_page_clear(struct prefork_error_page *page)
{
	free(page->body);
	free(page->fields.bytes);
}
