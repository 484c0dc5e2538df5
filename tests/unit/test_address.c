#include "listener/accept_error.h"
#include "listener/address.h"

#include "../support.h"

#include <prefork/error.h>

#include <netdb.h>
#include <stdio.h>

static struct pfi_address address;
static char text[PFI_ADDRESS_TEXT_MAX];

static void format(void)
{
	pfi_address_format(&address.socket, address.socket_size, text, sizeof text);
}

static const struct {
	const char *text, *canonical;
} good[] = {
	{ "127.0.0.1:80", "127.0.0.1:80" },
	{ "tcp://127.0.0.1:80", "127.0.0.1:80" },
	{ "127.0.0.1", "127.0.0.1:8000" },
	{ "0.0.0.0:0", "0.0.0.0:0" },
	{ ":65535", "0.0.0.0:65535" },
	{ "*:9000", "0.0.0.0:9000" },
	{ "*", "0.0.0.0:8000" },
	{ "[::]:80", "[::]:80" },
	{ "[::1]", "[::1]:8000" },
	{ "tcp://[2001:DB8::1]:443", "[2001:db8::1]:443" },
	{ "[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1" },
	{ "unix:/run/app.sock", "unix:/run/app.sock" },
	{ "unix:///run/app.sock", "unix:/run/app.sock" },
	{ "unix:app.sock", "unix:app.sock" },
	{ "unix:/run/a:b=c,d", "unix:/run/a:b=c,d" },
	{ "unix:@app", "unix:@app" },
	{ "unix://@app", "unix:@app" },
	{ "unix:/a\nb\033", "unix:/a\\nb\\x1b" },
};

START_TEST(a_valid_address_is_formatted_in_canonical_form)
{
	ck_assert_int_eq(pfi_address_parse(good[_i].text, &address), 0);
	format();
	ck_assert_str_eq(text, good[_i].canonical);
}
END_TEST

/* Each error message holds the word that tells the reader what to change. */
static const struct {
	const char *text, *word;
} bad[] = {
	{ "", "empty" },
	{ "tcp://", "empty" },
	{ "8000", ":8000" },
	{ "127.0.0.1:", "port" },
	{ "127.0.0.1:x", "port" },
	{ "127.0.0.1:65536", "65535" },
	{ "127.0.0.1:4294967376", "65535" },
	{ "127.0.0.1:-1", "port" },
	{ "127.0.0.1:+1", "port" },
	{ "127.0.0.1: 80", "port" },
	{ "127.0.0.1:80 ", "port" },
	{ "127.0.0.1:80/", "port" },
	{ "127.0.0:80", "four numbers" },
	{ "127.0.0.256:80", "four numbers" },
	{ "::1", "brackets" },
	{ "::1:80", "brackets" },
	{ "[::1", "bracket is missing" },
	{ "[::1]80", "bracket" },
	{ "[::1]:x", "port" },
	{ "[]:80", "no IPv6" },
	{ "[127.0.0.1]:80", "no IPv6" },
	{ "[::1%]:80", "interface" },
	{ "[:::]:80", "no IPv6" },
	{ "http://127.0.0.1:80", "tcp://" },
	{ "udp://127.0.0.1:80", "tcp://" },
	{ "a b:80", "host name" },
	{ "a/b", "host name" },
	{ "user@host:80", "host name" },
	{ "unix:", "path" },
	{ "unix://", "path" },
	{ "unix:@", "path" },
	{ "unix://@", "path" },
	{ "fd://", "number" },
	{ "fd://x", "number" },
	{ "fd://-1", "number" },
	{ "fd://3x", "number" },
	{ "fd://99999999999", "number" },
};

START_TEST(an_invalid_address_is_refused_with_its_cause)
{
	address.fd = 77;
	ck_assert_int_eq(pfi_address_parse(bad[_i].text, &address), -EINVAL);
	ck_assert_msg(strstr(prefork_error(), bad[_i].word), "%s: %s", bad[_i].text, prefork_error());
	ck_assert_int_eq(address.fd, 77); /* untouched */
}
END_TEST

static const struct {
	const char *text, *canonical; /* "": a host name */
} good_peers[] = {
	{ "127.0.0.1:8125", "127.0.0.1:8125" },
	{ "[::1]:8125", "[::1]:8125" },
	{ "localhost:1", "" },
	{ "unix:/run/statsd", "unix:/run/statsd" },
	{ "unix:///run/a]b", "unix:/run/a]b" },
	{ "unix://@statsd", "unix:@statsd" },
};

START_TEST(a_peer_has_a_host_and_a_port_or_a_path)
{
	ck_assert_msg(pfi_address_parse_peer(good_peers[_i].text, &address) == 0, "%s", prefork_error());
	ck_assert(pfi_address_needs_lookup(&address) == (good_peers[_i].canonical[0] == '\0'));
	if (pfi_address_needs_lookup(&address))
		return;
	format();
	ck_assert_str_eq(text, good_peers[_i].canonical);
}
END_TEST

static const struct {
	const char *text, *word;
} bad_peers[] = {
	{ "", "expected HOST:PORT" },
	{ "localhost", "expected HOST:PORT" },
	{ "[::1]", "expected HOST:PORT" },
	{ "fd://3", "expected HOST:PORT" },
	{ "tcp://localhost:8125", "expected HOST:PORT" },
	{ "http://localhost:8125", "expected HOST:PORT" },
	{ ":8125", "host is missing" },
	{ "*:8125", "host is missing" },
	{ "localhost:0", "port 0" },
	{ "localhost:", "port" },
	{ "localhost:99999", "65535" },
	{ "127.0.0.256:8125", "four numbers" },
	{ "::1:8125", "brackets" },
	{ "[::1:8125", "bracket is missing" },
	{ "[localhost]:8125", "no IPv6" },
	{ "my host:8125", "host name" },
	{ "unix:", "path" },
	{ "unix://@", "path" },
	{ "unix:run/statsd", "begin with /" },
	{ "unix://run/statsd", "begin with /" },
};

START_TEST(an_invalid_peer_is_refused_with_its_cause)
{
	address.fd = 77;
	ck_assert_int_eq(pfi_address_parse_peer(bad_peers[_i].text, &address), -EINVAL);
	ck_assert_msg(strstr(prefork_error(), bad_peers[_i].word), "%s: %s", bad_peers[_i].text, prefork_error());
	ck_assert_int_eq(address.fd, 77);
}
END_TEST

START_TEST(fd_takes_a_descriptor_number)
{
	ck_assert_int_eq(pfi_address_parse("fd://0", &address), 0);
	ck_assert_int_eq(address.kind, PFI_ADDRESS_FD);
	ck_assert_int_eq(address.fd, 0);
	ck_assert_int_eq(pfi_address_parse("fd://17", &address), 0);
	ck_assert_int_eq(address.fd, 17);
}
END_TEST

/* 107 bytes fit into a sockaddr_un with their 0, 108 do not. */
START_TEST(a_socket_path_has_at_most_107_bytes)
{
	char path[5 + 108 + 1] = "unix:";

	memset(path + 5, 'p', 107);
	ck_assert_int_eq(pfi_address_parse(path, &address), 0);
	format();
	ck_assert_str_eq(text, path);
	path[5 + 107] = 'p';
	ck_assert_int_eq(pfi_address_parse(path, &address), -EINVAL);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "107"));
}
END_TEST

START_TEST(a_host_name_beyond_its_maximum_is_refused)
{
	char host[PFI_HOST_MAX + 2] = { 0 };

	memset(host, 'h', PFI_HOST_MAX);
	ck_assert_int_eq(pfi_address_parse(host, &address), 0);
	host[PFI_HOST_MAX] = 'h';
	ck_assert_int_eq(pfi_address_parse(host, &address), -EINVAL);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "longer than any name"));
}
END_TEST

static bool can_resolve_localhost(void)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;

	if (getaddrinfo("localhost", NULL, &hints, &found) != 0)
		return false;
	freeaddrinfo(found);
	return true;
}

/* The only case here that reads a file of the system: /etc/hosts. */
START_TEST(localhost_resolves_to_ipv4)
{
	ck_assert_int_eq(pfi_address_parse("localhost:81", &address), 0);
	ck_assert_uint_eq(address.socket_size, 0);
	if (!can_resolve_localhost()) {
		puts("SKIP: this system cannot resolve localhost");
		return;
	}
	ck_assert_int_eq(pfi_address_resolve(&address), 0);
	format();
	ck_assert_str_eq(text, "127.0.0.1:81");
}
END_TEST

START_TEST(an_interface_that_does_not_exist_is_refused)
{
	ck_assert_int_eq(pfi_address_parse("[fe80::1%nosuch0]:81", &address), 0);
	ck_assert_int_eq(pfi_address_resolve(&address), -EINVAL);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "nosuch0"));
}
END_TEST

static const struct {
	const char *a, *b;
	bool equal;
} pairs[] = {
	{ "127.0.0.1:80", "tcp://127.0.0.1:80", true },
	{ ":80", "*:80", true },
	{ "127.0.0.1:80", "127.0.0.1:81", false },
	{ "127.0.0.1:80", "127.0.0.2:80", false },
	{ "127.0.0.1:0", "127.0.0.1:0", false },
	{ "0.0.0.0:80", "[::]:80", false },
	{ "[::1]:80", "[0:0::1]:80", true },
	{ "[::1]:80", "[::2]:80", false },
	{ "[::1]:0", "[::1]:0", false },
	{ "unix:/a", "unix:///a", true },
	{ "unix:/a", "unix:/b", false },
	{ "unix:/ab", "unix:/a", false },
	{ "unix:a", "unix:@a", false },
	{ "unix:@a", "unix:@ab", false },
	{ "unix:@a", "unix:@a", true },
	{ "localhost:80", "localhost:80", false }, /* not resolved: unknown */
};

START_TEST(equality_of_addresses_is_symmetric)
{
	struct pfi_address a, b;

	ck_assert_int_eq(pfi_address_parse(pairs[_i].a, &a), 0);
	ck_assert_int_eq(pfi_address_parse(pairs[_i].b, &b), 0);
	ck_assert_int_eq(pfi_address_equal(&a.socket, a.socket_size, &b.socket, b.socket_size), pairs[_i].equal);
	ck_assert_int_eq(pfi_address_equal(&b.socket, b.socket_size, &a.socket, a.socket_size), pairs[_i].equal);
}
END_TEST

/* The kernel can return each of these; formatting must not read beyond its size. */
START_TEST(unusual_socket_addresses_are_formatted)
{
	struct sockaddr_storage address_bytes = { .ss_family = AF_UNIX };

	pfi_address_format(&address_bytes, sizeof address_bytes.ss_family, text, sizeof text);
	ck_assert_str_eq(text, "unix:");
	memset((char *)&address_bytes + sizeof address_bytes.ss_family, 'x',
	       sizeof address_bytes - sizeof address_bytes.ss_family);
	pfi_address_format(&address_bytes, sizeof(struct sockaddr_un), text, sizeof text);
	ck_assert_uint_eq(strlen(text), 5 + 108);
	pfi_address_format(&address_bytes, sizeof address_bytes, text, sizeof text);
	ck_assert_uint_eq(strlen(text), 5 + 108);
	address_bytes.ss_family = AF_NETLINK;
	pfi_address_format(&address_bytes, sizeof address_bytes, text, sizeof text);
	ck_assert_str_eq(text, "family 16");
	pfi_address_format(&address_bytes, sizeof address_bytes, text, 4);
	ck_assert_str_eq(text, "fam");
}
END_TEST

static const struct {
	int error;
	enum pfi_accept_verdict verdict;
} accepts[] = {
	{ EAGAIN, PFI_ACCEPT_AGAIN },        { EINTR, PFI_ACCEPT_AGAIN },
	{ ECONNABORTED, PFI_ACCEPT_DROP },   { EPROTO, PFI_ACCEPT_DROP },
	{ EPERM, PFI_ACCEPT_DROP },          { ENETUNREACH, PFI_ACCEPT_DROP },
	{ EMFILE, PFI_ACCEPT_PAUSE },        { ENFILE, PFI_ACCEPT_PAUSE },
	{ ENOBUFS, PFI_ACCEPT_PAUSE },       { ENOMEM, PFI_ACCEPT_PAUSE },
	{ EBADF, PFI_ACCEPT_CLOSED },        { EINVAL, PFI_ACCEPT_CLOSED },
	{ ENOTSOCK, PFI_ACCEPT_CLOSED },     { ENOSYS, PFI_ACCEPT_PAUSE },
	{ 0, PFI_ACCEPT_PAUSE },             { 99999, PFI_ACCEPT_PAUSE },
};

START_TEST(every_error_of_accept_has_a_verdict)
{
	ck_assert_int_eq(pfi_accept_verdict(accepts[_i].error), accepts[_i].verdict);
}
END_TEST

#define ADD_TABLE(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof table / sizeof table[0]))

int main(void)
{
	Suite *suite = suite_create("address");
	TCase *tc = new_case(suite, "address");

	ADD_TABLE(tc, a_valid_address_is_formatted_in_canonical_form, good);
	ADD_TABLE(tc, an_invalid_address_is_refused_with_its_cause, bad);
	ADD_TABLE(tc, a_peer_has_a_host_and_a_port_or_a_path, good_peers);
	ADD_TABLE(tc, an_invalid_peer_is_refused_with_its_cause, bad_peers);
	tcase_add_test(tc, fd_takes_a_descriptor_number);
	tcase_add_test(tc, a_socket_path_has_at_most_107_bytes);
	tcase_add_test(tc, a_host_name_beyond_its_maximum_is_refused);
	tcase_add_test(tc, localhost_resolves_to_ipv4);
	tcase_add_test(tc, an_interface_that_does_not_exist_is_refused);
	ADD_TABLE(tc, equality_of_addresses_is_symmetric, pairs);
	tcase_add_test(tc, unusual_socket_addresses_are_formatted);
	ADD_TABLE(tc, every_error_of_accept_has_a_verdict, accepts);
	return run_suite(suite);
}
