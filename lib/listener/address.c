/* Parses, resolves, formats and compares the addresses of the setting bind. */
#include "listener/address.h"

#include "base/text.h"

#include <prefork/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535, FD_MAX = 1 << 20 };

static int bad(const char *text, const char *reason)
{
	char bytes[512];
	struct pfi_text quoted;

	pfi_text_init(&quoted, bytes, sizeof bytes);
	pfi_text_add_quoted(&quoted, text);
	return prefork_fail(-EINVAL, "bad address %s: %s", bytes, reason);
}

static const char *after_prefix(const char *text, const char *prefix)
{
	const size_t length = strlen(prefix);

	return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* Parse a number that consists of digits only and is at most `max`. */
static bool parse_number(const char *text, unsigned max, unsigned *ret)
{
	unsigned value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > max)
			return false;
	}
	*ret = value;
	return true;
}

static int parse_fd(const char *text, const char *number, struct pfi_address *address)
{
	unsigned fd;

	if (!parse_number(number, FD_MAX, &fd))
		return bad(text, "fd:// needs the number of an open descriptor, as in fd://3");
	address->kind = PFI_ADDRESS_FD;
	address->fd = (int)fd;
	return 0;
}

static int parse_unix(const char *text, const char *path, struct pfi_address *address)
{
	struct sockaddr_un *socket = (struct sockaddr_un *)&address->socket;

	if (strncmp(path, "//", 2) == 0)
		path += 2;
	const bool is_abstract = *path == '@';
	const size_t length = strlen(path);
	if (length == 0 || (is_abstract && length == 1))
		return bad(text, "unix: needs a path, as in unix:/run/app.sock, or an @name");
	if (length >= sizeof socket->sun_path)
		return bad(text, "the path of a unix socket may have 107 bytes at most");
	address->kind = PFI_ADDRESS_UNIX;
	socket->sun_family = AF_UNIX;
	memcpy(socket->sun_path, path, length);
	if (is_abstract)
		socket->sun_path[0] = 0;
	/* unix(7): a path includes its NUL; in an abstract name a NUL would be a byte of the name. */
	address->socket_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !is_abstract);
	return 0;
}

static void set_ipv4(struct pfi_address *address, struct in_addr host)
{
	struct sockaddr_in *socket = (struct sockaddr_in *)&address->socket;

	socket->sin_family = AF_INET;
	socket->sin_addr = host;
	socket->sin_port = htons(address->port);
	address->socket_size = sizeof *socket;
}

static void set_ipv6(struct pfi_address *address, struct in6_addr host)
{
	struct sockaddr_in6 *socket = (struct sockaddr_in6 *)&address->socket;

	socket->sin6_family = AF_INET6;
	socket->sin6_addr = host;
	socket->sin6_port = htons(address->port);
	address->socket_size = sizeof *socket;
}

/* Fill in the socket address of a numeric host. Host names are resolved later, and so are link-local addresses, whose
 * interface must be looked up. */
static int parse_host(const char *text, bool in_brackets, struct pfi_address *address)
{
	struct in_addr ipv4 = { .s_addr = htonl(INADDR_ANY) };
	struct in6_addr ipv6;
	const char *const host = address->host;
	const char *const zone = strchr(host, '%');

	if (in_brackets) {
		char number[PFI_HOST_MAX + 1];
		const size_t length = zone ? (size_t)(zone - host) : strlen(host);

		memcpy(number, host, length);
		number[length] = 0;
		if (inet_pton(AF_INET6, number, &ipv6) != 1)
			return bad(text, "there is no IPv6 address between the brackets");
		if (!zone)
			set_ipv6(address, ipv6);
		else if (!zone[1])
			return bad(text, "the interface after the % is missing");
		return 0;
	}
	if (!*host || inet_pton(AF_INET, host, &ipv4) == 1) {
		set_ipv4(address, ipv4);
		return 0;
	}
	/* getaddrinfo(3) accepts 8000 as the address 0.0.31.64, inet_aton(3). */
	if (host[strspn(host, "0123456789")] == 0)
		return bad(text, "a port alone is written with a colon before it, as in :8000");
	if (host[strspn(host, "0123456789.")] == 0)
		return bad(text, "an IPv4 address has four numbers up to 255, as in 127.0.0.1");
	for (const char *c = host; *c; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("/\\?#@[]%,;'\"", *c))
			return bad(text, "a host name cannot have this character");
	}
	return 0;
}

/* Split HOST and PORT. `rest` is `text` without its scheme. */
static int parse_tcp(const char *text, const char *rest, struct pfi_address *address)
{
	const bool in_brackets = *rest == '[';
	const char *host = in_brackets ? rest + 1 : rest;
	const char *end = in_brackets ? strchr(host, ']') : host + strcspn(host, ":");
	unsigned port = PFI_DEFAULT_PORT;

	if (!*rest)
		return bad(text, "it is empty");
	if (!end)
		return bad(text, "the closing bracket is missing");
	const char *tail = in_brackets ? end + 1 : end;
	if (*tail && *tail != ':')
		return bad(text, "after the bracket only :PORT may follow");
	if (!in_brackets && *tail && strchr(tail + 1, ':'))
		return bad(text, "an IPv6 address needs brackets, as in [::1]:8000");
	if (*tail && !parse_number(tail + 1, PORT_MAX, &port))
		return bad(text, "the port is not a number from 0 to 65535");

	const size_t length = (size_t)(end - host);
	if (length > PFI_HOST_MAX)
		return bad(text, "the host is longer than any name may be");
	address->kind = PFI_ADDRESS_TCP;
	address->port = (uint16_t)port;
	if (length != 1 || *host != '*')
		memcpy(address->host, host, length);
	return parse_host(text, in_brackets, address);
}

int pfi_address_parse(const char *text, struct pfi_address *ret)
{
	struct pfi_address address = { .fd = -1 };
	const char *rest;
	int r;

	if ((rest = after_prefix(text, "fd://")))
		r = parse_fd(text, rest, &address);
	else if ((rest = after_prefix(text, "unix:")))
		r = parse_unix(text, rest, &address);
	else if ((rest = after_prefix(text, "tcp://")))
		r = parse_tcp(text, rest, &address);
	else if (strstr(text, "://"))
		r = bad(text, "only tcp://, unix: and fd:// are known");
	else
		r = parse_tcp(text, text, &address);
	if (r == 0)
		*ret = address;
	return r;
}

static bool is_relative(const struct pfi_address *address)
{
	const char *const path = ((const struct sockaddr_un *)&address->socket)->sun_path;

	return address->kind == PFI_ADDRESS_UNIX && path[0] != '/' && path[0] != '\0';
}

int pfi_address_parse_peer(const char *text, struct pfi_address *ret)
{
	const char *const bracket = strrchr(text, ']');
	const bool has_port = strchr(bracket != NULL ? bracket : text, ':') != NULL;
	struct pfi_address address;
	int r;

	if (after_prefix(text, "unix:") == NULL && (!has_port || strstr(text, "://") != NULL))
		return bad(text, "expected HOST:PORT, as in localhost:8125, [IPV6]:PORT or unix:PATH");
	r = pfi_address_parse(text, &address);
	if (r < 0)
		return r;
	if (address.kind == PFI_ADDRESS_TCP && address.host[0] == '\0')
		return bad(text, "the host is missing");
	if (address.kind == PFI_ADDRESS_TCP && address.port == 0)
		return bad(text, "no program listens on port 0");
	if (is_relative(&address))
		return bad(text, "the path must begin with /, since workers may have another working directory");
	*ret = address;
	return 0;
}

bool pfi_address_needs_lookup(const struct pfi_address *address)
{
	return address->kind == PFI_ADDRESS_TCP && address->socket_size == 0;
}

static int unresolved(const struct pfi_address *address, int error)
{
	const char *const zone = strchr(address->host, '%');

	if (zone != NULL && if_nametoindex(zone + 1) == 0)
		return prefork_fail(-EINVAL, "cannot listen on [%s]:%u: there is no interface %s; ip address lists "
		                             "them",
		                    address->host, address->port, zone + 1);
	if (error == EAI_AGAIN)
		return prefork_fail(-EAGAIN, "cannot listen on %s:%u: no name server responded for the host (%s); a "
		                             "numeric address needs none",
		                    address->host, address->port, gai_strerror(error));
	return prefork_fail(-EINVAL, "cannot listen on %s:%u: there is no such host (%s); an address is HOST:PORT, as in "
	                             "127.0.0.1:8000, or unix:PATH",
	                    address->host, address->port, gai_strerror(error));
}

int pfi_address_apply(struct pfi_address *address, const struct pfi_lookup_result *result)
{
	struct in_addr ipv4;
	struct in6_addr ipv6;

	if (result->error != 0)
		return unresolved(address, result->error);
	if (result->family == AF_INET) {
		memcpy(&ipv4, result->bytes, sizeof ipv4);
		set_ipv4(address, ipv4);
		return 0;
	}
	memcpy(&ipv6, result->bytes, sizeof ipv6);
	set_ipv6(address, ipv6);
	((struct sockaddr_in6 *)&address->socket)->sin6_scope_id = result->scope;
	return 0;
}

int pfi_address_resolve(struct pfi_address *address)
{
	struct pfi_lookup_result result;

	if (!pfi_address_needs_lookup(address))
		return 0;
	pfi_lookup_host(address->host, &result);
	return pfi_address_apply(address, &result);
}

static void format_unix(const struct sockaddr_un *socket, size_t size, struct pfi_text *text)
{
	size_t length = size - offsetof(struct sockaddr_un, sun_path);

	pfi_text_add(text, "unix:");
	if (size <= offsetof(struct sockaddr_un, sun_path))
		return; /* an unbound socket, unix(7) */
	if (length > sizeof socket->sun_path)
		length = sizeof socket->sun_path;
	if (socket->sun_path[0]) {
		pfi_text_add_escaped(text, socket->sun_path, strnlen(socket->sun_path, length));
		return;
	}
	pfi_text_add_char(text, '@');
	pfi_text_add_escaped(text, socket->sun_path + 1, length - 1);
}

static void format_ipv6(const struct sockaddr_in6 *socket, struct pfi_text *text)
{
	char host[INET6_ADDRSTRLEN] = "?";
	char zone[IF_NAMESIZE];

	(void)inet_ntop(AF_INET6, &socket->sin6_addr, host, sizeof host);
	pfi_text_format(text, "[%s", host);
	if (socket->sin6_scope_id && if_indextoname(socket->sin6_scope_id, zone))
		pfi_text_format(text, "%%%s", zone);
	pfi_text_format(text, "]:%u", ntohs(socket->sin6_port));
}

void pfi_address_format(const struct sockaddr_storage *socket, socklen_t size, char *text, size_t text_size)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)socket;
	char host[INET_ADDRSTRLEN] = "?";
	struct pfi_text out;

	pfi_text_init(&out, text, text_size);
	switch (socket->ss_family) {
	case AF_UNIX:
		format_unix((const struct sockaddr_un *)socket, size, &out);
		break;
	case AF_INET:
		(void)inet_ntop(AF_INET, &ipv4->sin_addr, host, sizeof host);
		pfi_text_format(&out, "%s:%u", host, ntohs(ipv4->sin_port));
		break;
	case AF_INET6:
		format_ipv6((const struct sockaddr_in6 *)socket, &out);
		break;
	default:
		pfi_text_format(&out, "family %d", socket->ss_family);
	}
}

bool pfi_address_equal(const struct sockaddr_storage *a, socklen_t a_size,
                       const struct sockaddr_storage *b, socklen_t b_size)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a, *b4 = (const struct sockaddr_in *)b;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a, *b6 = (const struct sockaddr_in6 *)b;

	if (a_size == 0 || b_size == 0 || a->ss_family != b->ss_family)
		return false;
	switch (a->ss_family) {
	case AF_UNIX:
		return a_size == b_size && memcmp(a, b, a_size) == 0;
	case AF_INET:
		return a4->sin_port && a4->sin_port == b4->sin_port &&
		       a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	case AF_INET6:
		return a6->sin6_port && a6->sin6_port == b6->sin6_port &&
		       a6->sin6_scope_id == b6->sin6_scope_id &&
		       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
	default:
		return false;
	}
}
