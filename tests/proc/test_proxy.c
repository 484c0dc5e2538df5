/* PROXY headers over the sockets of one worker, under each strategy. */
#include "../support.h"

#include "../http/cases.h"
#include "harness.h"

#include "base/text.h"
#include "model/message.h"
#include "os/clock.h"
#include "worker/peer.h"
#include "worker/proxy_header.h"

#include <prefork/error.h>
#include <prefork/proxy.h>
#include <prefork/strategy.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_SIZE = 12 * 1024, SLOW = 200 };

static struct cases violations, valid;

static void add_tlv(struct pfi_text *text, const char *name, const void *bytes, size_t size)
{
	if (bytes == NULL)
		return;
	pfi_text_format(text, " %s=", name);
	pfi_text_add_escaped(text, bytes, size);
}

static const struct {
	const char *name;
	unsigned type;
	size_t offset; /* in struct pfi_proxy_header */
} tlvs[] = {
#define TLV(name, type, member) { name, PREFORK_PROXY_##type, offsetof(struct pfi_proxy_header, member) }
	TLV("alpn", ALPN, alpn), TLV("authority", AUTHORITY, authority), TLV("unique_id", UNIQUE_ID, unique_id),
	TLV("netns", NETNS, netns), TLV("version", SSL_VERSION, ssl.version), TLV("cn", SSL_CN, ssl.cn),
	TLV("cipher", SSL_CIPHER, ssl.cipher), TLV("sig_alg", SSL_SIG_ALG, ssl.sig_alg),
	TLV("key_alg", SSL_KEY_ALG, ssl.key_alg), TLV("group", SSL_GROUP, ssl.group),
	TLV("sig_scheme", SSL_SIG_SCHEME, ssl.sig_scheme), TLV("certificate", SSL_CLIENT_CERT, ssl.certificate),
};
enum { TLVS = sizeof tlvs / sizeof tlvs[0] };

/* `accepted` of the service: sends what the public functions say. Runs in the worker. */
static enum prefork_next describe(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char line[LINE_SIZE];
	struct pfi_text text;
	unsigned port, destination_port;
	size_t size;
	const char *const peer = prefork_connection_peer(connection, &port);
	const char *const destination = prefork_connection_proxy_destination(connection, &destination_port);

	(void)worker;
	(void)user;
	pfi_text_init(&text, line, sizeof line);
	pfi_text_format(&text, "v%u %s", prefork_connection_proxy_version(connection),
			prefork_connection_socket_peer(connection, NULL));
	if (prefork_connection_proxy_is_local(connection))
		pfi_text_add(&text, " local");
	else
		pfi_text_format(&text, " %s %u %s %u", peer, port, destination ? destination : "none", destination_port);
	pfi_text_format(&text, " %u", prefork_connection_proxy_ssl(connection));
	for (int i = 0; i < TLVS; i++) {
		const void *const bytes = prefork_connection_proxy_tlv(connection, tlvs[i].type, &size);

		add_tlv(&text, tlvs[i].name, bytes, size);
	}
	pfi_text_add(&text, "\n");
	(void)prefork_connection_write(connection, line, text.length);
	return PREFORK_AGAIN;
}

static const struct prefork_service service = {
	.struct_size = sizeof service, .accepted = describe, .ready = harness_echo,
};

static void add_address(struct pfi_text *text, const struct pfi_proxy_address *address)
{
	union pfi_peer_address peer = { .any.sa_family = address->socket.any.sa_family };
	char ip[INET6_ADDRSTRLEN];

	if (peer.any.sa_family == AF_INET)
		peer.in = address->socket.in;
	else if (peer.any.sa_family == AF_INET6)
		peer.in6 = address->socket.in6;
	const unsigned port = pfi_peer_format(&peer, ip);
	pfi_text_format(text, " %s %u", ip, port);
}

/* What describe() must send for this header, according to the parser. Returns the length of the header. */
static size_t expect_line(const struct one_case *one, char line[LINE_SIZE])
{
	struct pfi_proxy_header header;
	struct pfi_text text;

	pfi_proxy_header_start(&header, PFI_PROXY_AUTO);
	ck_assert_int_eq(pfi_proxy_header_feed(&header, one->bytes, one->length), PFI_DONE);
	pfi_text_init(&text, line, LINE_SIZE);
	pfi_text_format(&text, "v%u 127.0.0.1", header.version);
	if (header.source.size == 0) {
		pfi_text_add(&text, " local");
	} else {
		add_address(&text, &header.source);
		add_address(&text, &header.destination);
	}
	pfi_text_format(&text, " %u", !header.has_ssl || !(header.ssl.client & PFI_PROXY_SSL) ? 0u :
		(header.ssl.client & 7u) | (pfi_proxy_ssl_verified(&header) ? 8u : 0u));
	for (int i = 0; i < TLVS; i++) {
		struct pfi_proxy_value value;

		memcpy(&value, (const char *)&header + tlvs[i].offset, sizeof value);
		add_tlv(&text, tlvs[i].name, value.at > 0 ? one->bytes + value.at : NULL, value.length);
	}
	pfi_text_add(&text, "\n");
	ck_assert(!text.cut);
	return header.length;
}

static void send_all(int fd, const char *bytes, size_t length)
{
	for (size_t sent = 0; sent < length;) {
		const ssize_t n = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return; /* closed at an earlier byte */
		ck_assert_int_gt(n, 0);
		sent += (size_t)n;
	}
}

/* All that arrives until the end of the connection; the worker may end it with a reset. */
static size_t receive_all(int fd, char *bytes, size_t size)
{
	size_t length = 0;
	ssize_t n;

	while ((n = recv(fd, bytes + length, size - length, 0)) > 0)
		length += (size_t)n;
	ck_assert_msg(n == 0 || errno == ECONNRESET, "not closed: %s", strerror(errno));
	return length;
}

static void open_worker(struct harness *harness, const char *versions)
{
	harness_open(harness, &service);
	harness_set(harness, "proxy_protocol", versions);
	harness_set(harness, "drain_idle", "0");
}

static const char *const modes[] = { [1] = "v1", [2] = "v2", [3] = "auto" };

START_TEST(a_violation_closes_the_connection_without_a_response)
{
	struct harness harness;
	char bytes[64];

	open_worker(&harness, modes[_i]);
	harness_spawn(&harness);
	for (int i = 0; i < violations.count; i++) {
		const struct one_case *const one = &violations.all[i];
		if (one->number != _i)
			continue;
		const int fd = harness_connect(&harness);

		send_all(fd, one->bytes, one->length);
		ck_assert_msg(receive_all(fd, bytes, sizeof bytes) == 0, "%s: a response: %.64s", one->name, bytes);
		(void)close(fd);
	}
	harness_await_connections(&harness, 0);
	ck_assert_uint_eq(harness_requests(&harness), 0); /* the service does not count: closed connections would be */
	harness_close(&harness);
}
END_TEST

static void expect_served(const struct harness *harness, const struct one_case *one)
{
	static char got[64 * 1024], line[LINE_SIZE];
	const size_t header = expect_line(one, line);
	const int fd = harness_connect(harness);

	send_all(fd, one->bytes, one->length);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	const size_t length = receive_all(fd, got, sizeof got);
	(void)close(fd);
	ck_assert_msg(length >= strlen(line) && memcmp(got, line, strlen(line)) == 0, "%s: %.*s instead of %s",
		      one->reference, (int)length, got, line);
	ck_assert_msg(length - strlen(line) == one->length - header &&
		      memcmp(got + strlen(line), one->bytes + header, one->length - header) == 0,
		      "%s: not all that follows the header has reached the service", one->reference);
}

START_TEST(the_service_gets_the_client_and_what_follows_the_header)
{
	struct harness harness;

	open_worker(&harness, modes[_i]);
	harness_spawn(&harness);
	for (int i = 0; i < valid.count; i++)
		if (valid.all[i].number == _i)
			expect_served(&harness, &valid.all[i]);
	harness_close(&harness);
}
END_TEST

static const char half[] = "PROXY TCP4 192.0.2.1 198.51.1", rest[] = "00.7 56324 443\r\n";
static const char line_of_half[] = "v1 127.0.0.1 192.0.2.1 56324 198.51.100.7 443 0\n";

static void expect_text(int fd, const char *text)
{
	char bytes[256] = "";

	ck_assert_int_eq(recv(fd, bytes, strlen(text), MSG_WAITALL), (ssize_t)strlen(text));
	ck_assert_str_eq(bytes, text);
}

START_TEST(a_header_may_arrive_byte_by_byte)
{
	struct harness harness;

	open_worker(&harness, "auto");
	harness_set(&harness, "handshake_timeout", "1h");
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	const char *const parts[] = { half, rest };
	for (int i = 0; i < 2; i++) {
		for (const char *c = parts[i]; *c; c++) {
			send_all(fd, c, 1);
			harness_await_acknowledged(fd);
		}
	}
	expect_text(fd, line_of_half);
	harness_expect_echo(fd, "hello");
	send_all(fd, half, sizeof half - 1); /* once per connection: this is data */
	expect_text(fd, half);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

START_TEST(a_peer_that_is_no_proxy_is_closed)
{
	struct harness harness;
	char bytes[64];

	open_worker(&harness, "auto");
	harness_set(&harness, "proxy_allow_ips", "192.0.2.0/24,unix");
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	ck_assert_uint_eq(receive_all(fd, bytes, sizeof bytes), 0); /* before it sends anything */
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

START_TEST(health_checks_of_the_proxy_are_no_requests)
{
	static const char local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0";
	struct harness harness;
	char bytes[256];

	open_worker(&harness, "v2");
	harness_spawn(&harness);
	for (int i = 0; i < 5; i++) {
		const int fd = harness_connect(&harness);

		send_all(fd, local, sizeof local);
		ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
		ck_assert_uint_gt(receive_all(fd, bytes, sizeof bytes), 0); /* `accepted` responds */
		(void)close(fd);
	}
	harness_await_connections(&harness, 0);
	ck_assert_uint_eq(harness_requests(&harness), 0);
	harness_close(&harness);
}
END_TEST

/* CPU time of the worker in microseconds. */
static uint64_t cpu_us(const struct harness *harness)
{
	char path[64], text[64] = "";

	(void)snprintf(path, sizeof path, "/proc/%d/schedstat", (int)harness->child.pid);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
	(void)close(fd);
	return strtoull(text, NULL, 10) / 1000;
}

static void open_slow(const struct harness *harness, int fds[SLOW])
{
	for (int i = 0; i < SLOW; i++) {
		fds[i] = harness_connect(harness);
		send_all(fds[i], half, (size_t)i % sizeof half);
	}
	harness_await_connections(harness, SLOW);
}

START_TEST(half_headers_occupy_no_thread_and_no_cpu)
{
	struct harness harness;
	int fds[SLOW];

	open_worker(&harness, "auto");
	harness_set(&harness, "handshake_timeout", "1h");
	harness_spawn(&harness);
	open_slow(&harness, fds);
	for (int i = 0; i < 10; i++) {
		const int fd = harness_connect(&harness);

		send_all(fd, half, sizeof half - 1);
		send_all(fd, rest, sizeof rest - 1);
		expect_text(fd, line_of_half);
		harness_expect_echo(fd, "hello");
		(void)close(fd);
	}
	harness_await_connections(&harness, SLOW);
	const uint64_t before_us = cpu_us(&harness);
	(void)poll(NULL, 0, 300);
	ck_assert_uint_lt(cpu_us(&harness) - before_us, 100000); /* a poller that returns unread input takes all of it */
	ck_assert_uint_eq(harness_requests(&harness), 10);
	for (int i = 0; i < SLOW; i++)
		(void)close(fds[i]);
	harness_await_connections(&harness, 0);
	harness_close(&harness);
}
END_TEST

START_TEST(an_incomplete_header_has_its_own_time_limit)
{
	struct harness harness;
	int fds[SLOW];
	char bytes[64];

	open_worker(&harness, "auto");
	harness_set(&harness, "handshake_timeout", "300ms");
	harness_spawn(&harness);
	harness_stop(&harness); /* so that the time of `served` begins when all of its header has arrived */
	const int served = harness_connect(&harness);
	send_all(served, half, sizeof half - 1);
	send_all(served, rest, sizeof rest - 1);
	harness_await_acknowledged(served);
	harness_signal(&harness, SIGCONT);
	expect_text(served, line_of_half);
	for (int i = 0; i < SLOW; i++) {
		fds[i] = harness_connect(&harness);
		send_all(fds[i], half, (size_t)i % sizeof half);
	}
	for (int i = 0; i < SLOW; i++) {
		ck_assert_uint_eq(receive_all(fds[i], bytes, sizeof bytes), 0);
		(void)close(fds[i]);
	}
	harness_expect_echo(served, "hello"); /* it is no limit of the service */
	(void)close(served);
	harness_await_connections(&harness, 0);
	ck_assert_uint_eq(harness_requests(&harness), 1);
	harness_close(&harness);
}
END_TEST

START_TEST(a_drain_serves_the_request_behind_a_header_in_transit)
{
	struct harness harness;

	open_worker(&harness, "auto");
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	send_all(fd, half, sizeof half - 1);
	harness_await_connections(&harness, 1);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_await_drain(&harness);
	send_all(fd, rest, sizeof rest - 1);
	send_all(fd, "hello", 5);
	expect_text(fd, line_of_half);
	expect_text(fd, "hello");
	(void)close(fd);
	ck_assert_int_eq(harness_reap(&harness).code, PREFORK_EXIT_RECYCLE);
	harness_close(&harness);
}
END_TEST

static void add_tables(TCase *tc)
{
	tcase_add_loop_test(tc, a_violation_closes_the_connection_without_a_response, 1, 4);
	tcase_add_loop_test(tc, the_service_gets_the_client_and_what_follows_the_header, 1, 4);
}

int main(void)
{
	Suite *suite = suite_create("proxy");
	TCase *tc = new_case(suite, "proxy");

	violations = read_cases(PROXY_TABLES "/proxy_violations.txt");
	valid = read_cases(PROXY_TABLES "/proxy_headers.txt");
	add_tables(tc);
	tcase_add_test(tc, a_header_may_arrive_byte_by_byte);
	tcase_add_test(tc, a_peer_that_is_no_proxy_is_closed);
	tcase_add_test(tc, health_checks_of_the_proxy_are_no_requests);
	tcase_add_test(tc, half_headers_occupy_no_thread_and_no_cpu);
	tcase_add_test(tc, an_incomplete_header_has_its_own_time_limit);
	tcase_add_test(tc, a_drain_serves_the_request_behind_a_header_in_transit);
	const int status = run_suite(suite);
	free_cases(&violations);
	free_cases(&valid);
	return status;
}
