/*
 * Input: a format of the access log, a NUL, a request. A rendered line has no control characters, and a
 * JSON line is valid JSON.
 */
#include "http/access_format.h"
#include "http/date.h"

#include "fuzz.h"

static const struct pfi_limits limits = { .line_max = 2000, .field_max = 2000, .fields_max = 8, .head_max = 4000,
	                                  .body_max = 1000 };
static const char response[] = "HTTP/1.1 200 OK\r\nContent-Type: a\r\nX: \"\r\n\r\n";

static char *variable(const char *name)
{
	static char value[] = "\"\n\xff";

	return name[0] == 'A' ? value : NULL;
}

static void check_line(const struct pfi_text *line)
{
	for (size_t i = 0; i < line->length; i++)
		demand(((unsigned char)line->bytes[i] >= ' ' || line->bytes[i] == '\t') && line->bytes[i] != 0x7f);
	demand(line->bytes[line->length] == '\0');
}

/* The end of the value that begins at `at`. */
static const char *skip_value(const char *at)
{
	if (*at != '"')
		return at + strcspn(at, ",}");
	for (at++; *at != '"'; at++) {
		demand(*at != '\0');
		if (*at != '\\')
			continue;
		at++;
		demand(strchr("\"\\u", *at) != NULL && *at != '\0');
		if (*at == 'u') {
			demand(strspn(at + 1, "0123456789abcdef") >= 4);
			at += 4;
		}
	}
	return at + 1;
}

static void check_json(const char *at)
{
	demand(*at == '{');
	do {
		at++;
		demand(*at == '"');
		at = skip_value(at);
		demand(*at == ':');
		at = skip_value(at + 1);
	} while (*at == ',');
	demand(strcmp(at, "}") == 0);
}

static void render(const struct pfi_access_format *format, const char *request, size_t length, size_t capacity)
{
	struct pfi_field fields[8];
	struct pfi_head head;
	struct pfi_text line;
	char buffer[4096];

	pfi_head_start(&head, fields, &limits);
	const bool complete = pfi_head_feed(&head, request, length) == PFI_DONE;
	const struct pfi_access_facts facts = {
		.bytes = request, .length = length, .head = complete ? &head : NULL, .peer = complete ? "::1" : "",
		.server = complete ? "[::1]:80" : "unix:x", .is_secure = complete,
		.status = 200, .sent = length, .response = complete ? response : NULL, .response_length = sizeof response - 1,
		.time = "2026-11-21T12:00:00+00:00", .time_length = PFI_DATE_ISO_LENGTH, .took_us = length * 977, .pid = 1,
	};

	pfi_text_init(&line, buffer, capacity);
	pfi_access_render(format, &facts, &line);
	check_line(&line);
	if (pfi_access_is_json(format))
		check_json(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pfi_access_format *format = NULL;
	const uint8_t *const end = memchr(data, 0, size);

	if (end == NULL || size > 4096)
		return 0;
	const size_t length = size - (size_t)(end + 1 - data);
	char *const request = copy_exactly(end + 1, length);
	if (pfi_access_compile((const char *)data, variable, &format) == 0) {
		render(format, request, length, 4096);
		if (!pfi_access_is_json(format))
			render(format, request, length, 16);
	} else {
		demand(format == NULL);
	}
	pfi_access_format_destroy(format);
	free(request);
	return 0;
}
