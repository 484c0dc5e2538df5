/* Collects trailer fields byte by byte, and drops those that must not be in a trailer when it is complete. */
#include "http/trailers.h"

#include "http/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pfi_trailers_add(struct pfi_trailers *trailers, char byte)
{
	if (trailers->length == trailers->size) {
		const size_t size = trailers->size > 0 ? trailers->size * 2 : 256;
		char *const bytes = realloc(trailers->bytes, size);

		if (bytes == NULL)
			return -ENOMEM;
		trailers->bytes = bytes;
		trailers->size = size;
	}
	trailers->bytes[trailers->length++] = byte;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Write "name: value\r\n" at `from`, whose LF is at `end`, as name NUL value NUL to `to`, which is never after `from`.
 * Returns the end of what is written. */
static char *terminate(char *to, const char *from, const char *end)
{
	const char *const colon = memchr(from, ':', (size_t)(end - from));
	const char *value = colon + 1, *stop = end - 1;

	while (value < stop && is_blank(*value))
		value++;
	while (stop > value && is_blank(stop[-1]))
		stop--;
	memmove(to, from, (size_t)(colon - from));
	to += colon - from;
	*to++ = '\0';
	memmove(to, value, (size_t)(stop - value));
	to += stop - value;
	*to++ = '\0';
	return to;
}

/* A trailer arrives too late to change how the body is read, or the request handled (RFC 9110 6.5.1). */
static bool is_kept(const char *name, size_t length, bool underscores)
{
	return (underscores || memchr(name, '_', length) == NULL) &&
	       !(pfi_field_rules(pfi_field_find(name, length)) & PFI_FIELD_TRAILER_IGNORED);
}

void pfi_trailers_end(struct pfi_trailers *trailers, bool underscores)
{
	if (trailers->length == 0)
		return;
	const char *from = trailers->bytes;
	const char *const all = from + trailers->length;
	char *to = trailers->bytes;

	while (from < all) {
		const char *const end = memchr(from, '\n', (size_t)(all - from));
		const size_t name = strcspn(from, ":");

		if (is_kept(from, name, underscores)) {
			to = terminate(to, from, end);
			trailers->count++;
		}
		from = end + 1;
	}
	trailers->length = (size_t)(to - trailers->bytes);
}

const char *pfi_trailers_at(const struct pfi_trailers *trailers, size_t index, const char **ret_name)
{
	const char *at = trailers->bytes;

	if (index >= trailers->count)
		return NULL;
	for (; index > 0; index--) {
		at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	*ret_name = at;
	return at + strlen(at) + 1;
}

void pfi_trailers_clear(struct pfi_trailers *trailers)
{
	free(trailers->bytes);
	*trailers = (struct pfi_trailers){ 0 };
}
