/*
 * access_format -- the format of the access log: gunicorn's atoms, compiled
 * once into a table of steps, and a line made by walking it.
 *
 * Pure: facts in, text out. What came from outside is escaped, so that nobody
 * can forge a line, end a quoted part or steer a terminal.
 */
#ifndef HTTP_ACCESS_FORMAT_H
#define HTTP_ACCESS_FORMAT_H

#include "http/head.h"

#include "base/text.h"

struct pfi_access_format;

/* What is known of a request when it is over. Borrowed for the call. */
struct pfi_access_facts {
	const char *bytes;           /* the request, from its first byte; spans of `head` are offsets in it */
	size_t length;               /* of what came of it, up to the end of its head            */
	const struct pfi_head *head; /* NULL: it was never complete                                 */
	const char *peer;            /* "" for a unix socket                                      */
	unsigned peer_port;
	const char *server;          /* the listener's address: "[::1]:8000", "unix:/path"          */
	bool is_secure;              /* the scheme is https                                       */
	int status;
	uint64_t sent;               /* bytes of the body                                         */
	const char *response;           /* the head of the response, NULL when it never had one      */
	size_t response_length;
	const char *time;            /* as pfi_access_is_json() demands                           */
	size_t time_length;
	uint64_t took_us;
	int pid;
};

/** Compile, or take "json". `variable` looks up what %({NAME}e)s is when no fact of the request has
 *  that name: getenv(3). Returns *new* in `*ret`; or -EINVAL, with an error message that
 *  names the column; or -ENOMEM. */
int pfi_access_compile(const char *format, char *(*variable)(const char *name), struct pfi_access_format **ret);
void pfi_access_format_destroy(struct pfi_access_format *format);

/** Whether a line is an object of JSON: the format "json". Its time is an RFC 3339 one, that of the
 *  others pfi_date_format_log()'s. */
bool pfi_access_is_json(const struct pfi_access_format *format);

/** One line, without its end, over what `line` holds. Where that is too small for all of it, the texts that
 *  came from outside are shortened, and end with three dots; the rest stays. Cut only if `line` is too small
 *  for what the format itself says. */
void pfi_access_render(const struct pfi_access_format *format, const struct pfi_access_facts *facts,
                       struct pfi_text *line);

#endif
