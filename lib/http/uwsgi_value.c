/* One check per variable of a uwsgi packet, selected by a table of names. */
#include "http/uwsgi_value.h"

#include "http/fields.h"
#include "http/framing.h"

#include <arpa/inet.h>
#include <string.h>

enum { METHOD_MIN = 3, METHOD_MAX = 20 }; /* as in head.c */

/* A value's problem, if it has one. */
struct result {
	uint16_t status; /* 0: none */
	const char *problem;
};

typedef struct result rule_fn(const char *text, size_t length, const struct pfi_limits *limits);

static const struct result fine = { 0, NULL };

static struct result bad(uint16_t status, const char *problem)
{
	return (struct result){ status, problem };
}

static bool consists_of(const char *text, size_t length, unsigned class)
{
	for (size_t i = 0; i < length; i++)
		if (!pfi_char_is(text[i], class))
			return false;
	return true;
}

/* A method has the rules of a request line (head.c). */
static struct result check_METHOD(const char *text, size_t length, const struct pfi_limits *limits)
{
	if (length == 0 || !consists_of(text, length, PFI_CHAR_TOKEN))
		return bad(400, "REQUEST_METHOD is not a method");
	if (limits->any_method)
		return fine;
	for (size_t i = 0; i < length; i++)
		if (!pfi_char_is(text[i], PFI_CHAR_METHOD) &&
		    !(limits->fold_method && text[i] >= 'a' && text[i] <= 'z'))
			return bad(501, "the method is not implemented");
	return length >= METHOD_MIN && length <= METHOD_MAX ?
	               fine :
	               bad(501, "the method is not implemented");
}

/* nginx sends the origin form, also if its client sent the absolute one. */
static struct result check_URI(const char *text, size_t length, const struct pfi_limits *limits)
{
	(void)limits;
	if (length == 0 || (text[0] != '/' && !(text[0] == '*' && length == 1)))
		return bad(400, "REQUEST_URI is neither a path nor *");
	return consists_of(text, length, PFI_CHAR_TARGET) ?
	               fine :
	               bad(400, "REQUEST_URI has a byte that a request target may not have");
}

/* QUERY_STRING is not compared with REQUEST_URI: nginx rewrites it and keeps REQUEST_URI as it was. */
static struct result check_QUERY(const char *text, size_t length, const struct pfi_limits *limits)
{
	(void)limits;
	return consists_of(text, length, PFI_CHAR_TARGET) ?
	               fine :
	               bad(400, "QUERY_STRING has a byte that a request target may not have");
}

static struct result check_LENGTH(const char *text, size_t length, const struct pfi_limits *limits)
{
	uint64_t value = 0;

	if (length == 0)
		return fine;
	if (pfi_length_parse(text, length, &value) < 0)
		return bad(400, "CONTENT_LENGTH is not a number");
	/* UINT64_MAX: larger than any file. */
	return value == UINT64_MAX || value > limits->body_max ? bad(413, "the body is too large") : fine;
}

static struct result check_VALUE(const char *text, size_t length, const struct pfi_limits *limits)
{
	(void)limits;
	return pfi_value_valid(text, length) ? fine : bad(400, "a control character in a variable");
}

/* Decoded, so that it may have any byte ("%0a"), except NUL, which nginx refuses. RFC 3875 4.1.5,
 * 4.1.13: empty, or it begins with a slash. */
static struct result check_PATH(const char *text, size_t length, const struct pfi_limits *limits)
{
	(void)limits;
	if (length == 0)
		return fine;
	if (text[0] != '/')
		return bad(400, "PATH_INFO or SCRIPT_NAME does not begin with a slash");
	return memchr(text, '\0', length) == NULL ? fine : bad(400, "a NUL in a variable");
}

/* "HTTP/1.1", "HTTP/2.0": the client's version, which the proxy may support although this server does not. */
static struct result check_PROTOCOL(const char *text, size_t length, const struct pfi_limits *limits)
{
	(void)limits;
	if (length != 8 || memcmp(text, "HTTP/", 5) != 0 || !pfi_char_is(text[5], PFI_CHAR_DIGIT) ||
	    text[6] != '.' || !pfi_char_is(text[7], PFI_CHAR_DIGIT))
		return bad(400, "SERVER_PROTOCOL is not a version of HTTP");
	return fine;
}

/* Empty at a unix socket. */
static struct result check_PORT(const char *text, size_t length, const struct pfi_limits *limits)
{
	uint64_t value = 0;

	(void)limits;
	if (length == 0)
		return fine;
	if (length > 5 || pfi_length_parse(text, length, &value) < 0 || value > 65535)
		return bad(400, "SERVER_PORT or REMOTE_PORT is not a port");
	return fine;
}

/* nginx sends "unix:" for the client of a unix socket. */
static struct result check_ADDRESS(const char *text, size_t length, const struct pfi_limits *limits)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char address[16];

	(void)limits;
	if (length == 0 || (length == 5 && memcmp(text, "unix:", 5) == 0))
		return fine;
	if (length >= sizeof copy || memchr(text, '\0', length) != NULL)
		return bad(400, "REMOTE_ADDR is not an address");
	memcpy(copy, text, length);
	copy[length] = '\0';
	return inet_pton(AF_INET, copy, address) == 1 || inet_pton(AF_INET6, copy, address) == 1 ?
	               fine :
	               bad(400, "REMOTE_ADDR is not an address");
}

static struct result check_SCHEME(const char *text, size_t length, const struct pfi_limits *limits)
{
	(void)limits;
	if ((length == 4 && memcmp(text, "http", 4) == 0) || (length == 5 && memcmp(text, "https", 5) == 0))
		return fine;
	return bad(400, "REQUEST_SCHEME is neither http nor https");
}

/* A certificate in PEM (SSL_CLIENT_CERT) has lines. NUL has no use in any variable. */
static struct result check_OTHER(const char *text, size_t length, const struct pfi_limits *limits)
{
	(void)limits;
	return memchr(text, '\0', length) == NULL ? fine : bad(400, "a NUL in a variable");
}

static const struct {
	const char *name;
	size_t length;
	rule_fn *check;
} known[PFI_UWSGI_COUNT] = {
	[PFI_UWSGI_OTHER] = { "", 0, check_OTHER },
	[PFI_UWSGI_FIELD] = { "", 0, check_VALUE },
#define ROW(id, name, rule) [PFI_UWSGI_##id] = { name, sizeof(name) - 1, check_##rule },
	PFI_UWSGI_VARIABLES(ROW)
#undef ROW
};

enum pfi_uwsgi_id pfi_uwsgi_find(const char *name, size_t length)
{
	for (unsigned id = PFI_UWSGI_FIELD + 1; id < PFI_UWSGI_COUNT; id++)
		if (known[id].length == length && memcmp(known[id].name, name, length) == 0)
			return (enum pfi_uwsgi_id)id;
	return PFI_UWSGI_OTHER;
}

bool pfi_uwsgi_value_check(enum pfi_uwsgi_id id, const char *text, size_t length,
                           const struct pfi_limits *limits, struct pfi_http_error *ret_http_error)
{
	const struct result result = known[id].check(text, length, limits);

	if (result.status == 0)
		return true;
	*ret_http_error = (struct pfi_http_error){ result.status, result.problem };
	return false;
}
