/*
 * access_format -- the format of the access log: gunicorn's atoms, compiled once into an array of
 * steps, from which each line is rendered.
 *
 * Pure: facts in, text out. Bytes from outside are escaped, so that a client cannot forge a line,
 * end a quoted part, or send control sequences to a terminal.
 */
#ifndef HTTP_ACCESS_FORMAT_H
#define HTTP_ACCESS_FORMAT_H

#include "http/head.h"

#include "base/text.h"

struct pfi_access_format;

/* The facts of a finished request. Borrowed for the call. */
struct pfi_access_facts {
	const char *bytes;           /* the request, from its first byte; spans of `head` are offsets in it */
	size_t length;               /* bytes received, up to the end of the head */
	const struct pfi_head *head; /* NULL: it was not complete */
	const char *peer;            /* "" for a unix socket */
	unsigned peer_port;
	const char *server;          /* the listener's address: "[::1]:8000", "unix:/path"          */
	bool is_secure;              /* the scheme is https                                       */
	int status;
	uint64_t sent;               /* bytes of the body                                         */
	const char *response;           /* the head of the response; NULL: none */
	size_t response_length;
	const char *time;            /* formatted, see pfi_access_is_json() */
	size_t time_length;
	uint64_t took_us;
	int pid;
};

/** Compile `format`, or "json". `variable` (getenv(3)) returns the value of %({NAME}e)s if no fact of the
 *  request has that name. Returns *new* in `*ret`; or -EINVAL, with an error message that
 *  names the column; or -ENOMEM. */
int pfi_access_compile(const char *format, char *(*variable)(const char *name), struct pfi_access_format **ret);
void pfi_access_format_destroy(struct pfi_access_format *format);

/** Whether the format is "json": a line is a JSON object, and its time pfi_date_format_iso()'s. With
 *  other formats the time is pfi_date_format_log()'s. */
bool pfi_access_is_json(const struct pfi_access_format *format);

/** Render one line without its end, over the content of `line`. If `line` is too small, texts from outside are
 *  shortened, and end with three dots; the rest stays. The line is cut only if `line` is too small for the
 *  format's own text. */
void pfi_access_render(const struct pfi_access_format *format, const struct pfi_access_facts *facts,
                       struct pfi_text *line);

#endif
