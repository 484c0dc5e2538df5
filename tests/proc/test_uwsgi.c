/* uwsgi packets over the sockets of one worker, under each strategy: the tables of tests/http. */
#include "../support.h"

#include "../http/cases.h"
#include "web.h"

#include "http/uwsgi_packet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { TEXT_SIZE = 8192 };

static const char *const settings[] = { "--protocol", "uwsgi", "--limit-request-head", "60000", "--limit-request-body",
	                                "1048576", "--keep-alive", "5", "--header-timeout", "1h", NULL };
static const struct pfi_limits limits = { .line_max = 4094, .field_max = 8190, .fields_max = 100,
	                                  .head_max = 60000, .body_max = 1048576 };
static struct cases violations, valid;

/* Reads the body, and responds with what the request has. /pieces: without a length, after an interim response. */
static int handle(struct prefork_request *request, void *user)
{
	char bytes[1000], text[TEXT_SIZE];
	unsigned long long length = 0;
	unsigned port;
	ptrdiff_t n;
	const char *const peer = prefork_request_peer(request, &port);

	(void)user;
	while ((n = prefork_request_read(request, bytes, sizeof bytes)) > 0)
		length += (unsigned long long)n;
	if (n < 0)
		return (int)n;
	if (strcmp(prefork_request_target(request, NULL), "/pieces") == 0) {
		(void)prefork_response_start(request, 103, NULL);
		(void)prefork_response_end(request);
		(void)prefork_response_start(request, 200, NULL);
		(void)prefork_response_write(request, "one", 3);
		(void)prefork_response_write(request, "two", 3);
		return prefork_response_end(request);
	}
	const int size = snprintf(text, sizeof text, "%s %s %llu %s %u", prefork_request_method(request, NULL),
				  prefork_request_target(request, NULL), length, peer, port);
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, text, (size_t)size);
}

START_TEST(a_violation_gets_its_status_and_the_connection_is_closed)
{
	static char response[64 * 1024];
	struct web web;

	web_open(&web, handle, settings);
	for (int i = 0; i < violations.count; i++) {
		const struct one_case *const one = &violations.all[i];
		const int fd = web_request(&web, one->bytes, one->length);

		(void)shutdown(fd, SHUT_WR);
		(void)web_read_rest(fd, response, sizeof response);
		ck_assert_msg(web_status(response) == one->number, "%s: %.40s", one->name, response);
	}
	ck_assert_int_eq(atomic_load(&web.counts->handled), 0);
	web_close(&web);
}
END_TEST

static const char *value_of(const struct pfi_uwsgi_packet *packet, const char *bytes, enum pfi_uwsgi_id id, int *ret_size)
{
	const struct pfi_uwsgi_variable *const variable = pfi_uwsgi_variable(packet, id);

	*ret_size = variable ? (int)variable->value.length : 0;
	return variable ? bytes + variable->value.at : "";
}

/* What handle() responds to this packet. Returns the packet's length. */
static size_t expected_of(const struct one_case *one, char text[TEXT_SIZE], uint64_t *ret_body)
{
	static struct pfi_uwsgi_variable variables[PFI_UWSGI_VARIABLES_MAX];
	struct pfi_uwsgi_packet packet;
	int method_size, uri_size, peer_size, port_size;

	pfi_uwsgi_packet_start(&packet, variables, &limits);
	ck_assert_int_eq(pfi_uwsgi_packet_feed(&packet, one->bytes, one->length), PFI_DONE);
	const char *const method = value_of(&packet, one->bytes, PFI_UWSGI_REQUEST_METHOD, &method_size);
	const char *const uri = value_of(&packet, one->bytes, PFI_UWSGI_REQUEST_URI, &uri_size);
	const char *peer = value_of(&packet, one->bytes, PFI_UWSGI_REMOTE_ADDR, &peer_size);
	const char *const port = value_of(&packet, one->bytes, PFI_UWSGI_REMOTE_PORT, &port_size);

	if (peer_size == 5 && memcmp(peer, "unix:", 5) == 0)
		peer_size = 0;
	*ret_body = packet.body_length;
	if (pfi_uwsgi_variable(&packet, PFI_UWSGI_REMOTE_ADDR))
		(void)snprintf(text, TEXT_SIZE, "%.*s %.*s %llu %.*s %.*s", method_size, method, uri_size, uri,
			       (unsigned long long)packet.body_length, peer_size, peer, port_size > 0 ? port_size : 1,
			       port_size > 0 ? port : "0");
	else /* the peer is that of the connection */
		(void)snprintf(text, TEXT_SIZE, "%.*s %.*s %llu 127.0.0.1 ", method_size, method, uri_size, uri,
			       (unsigned long long)packet.body_length);
	return packet.length;
}

static void send_body(int fd, const struct one_case *one, size_t from, uint64_t length)
{
	static char zeros[64 * 1024];
	const size_t own = one->length - from < length ? one->length - from : (size_t)length;

	ck_assert_int_eq(send(fd, one->bytes + from, own, MSG_NOSIGNAL), (ssize_t)own);
	for (uint64_t sent = own; sent < length;) {
		const size_t part = length - sent < sizeof zeros ? (size_t)(length - sent) : sizeof zeros;
		const ssize_t n = send(fd, zeros, part, MSG_NOSIGNAL);

		ck_assert_int_gt(n, 0);
		sent += (uint64_t)n;
	}
}

static void expect_response(const struct web *web, const struct one_case *one)
{
	static char response[64 * 1024], expected[TEXT_SIZE];
	uint64_t body;
	const size_t length = expected_of(one, expected, &body);
	const int fd = web_request(web, one->bytes, length);

	send_body(fd, one, length, body);
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_msg(web_status(response) == 200, "%s: %.60s", one->reference, response);
	ck_assert_ptr_nonnull(strstr(response, "\r\nConnection: close\r\n"));
	const char *const text = strstr(response, "\r\n\r\n") + 4;
	ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "%s: %s instead of %s", one->reference, text, expected);
}

START_TEST(a_packet_is_a_request)
{
	struct web web;

	web_open(&web, handle, settings);
	for (int i = 0; i < valid.count; i++)
		expect_response(&web, &valid.all[i]);
	ck_assert_int_eq(atomic_load(&web.counts->handled), valid.count);
	web_close(&web);
}
END_TEST

static const char pieces[] = "\0\x64\0\0\x0e\0REQUEST_METHOD\x03\0GET\x0b\0REQUEST_URI\x07\0/pieces\x0c\0QUERY_STRING\0\0"
			     "\x0f\0SERVER_PROTOCOL\x08\0HTTP/1.1\t\0HTTP_HOST\x01\0h";

START_TEST(a_response_of_unknown_length_has_no_chunks_and_no_interim_response)
{
	char response[4096];
	struct web web;

	web_open(&web, handle, settings);
	(void)web_read_all(web_request(&web, pieces, sizeof pieces - 1), response, sizeof response);
	ck_assert_int_eq(web_status(response), 200);
	ck_assert_ptr_null(strstr(response, "Transfer-Encoding"));
	ck_assert_str_eq(strstr(response, "\r\n\r\n"), "\r\n\r\nonetwo");
	web_close(&web);
}
END_TEST

START_TEST(a_packet_may_arrive_byte_by_byte)
{
	char response[4096];
	struct web web;

	web_open(&web, handle, settings);
	const int fd = web_request(&web, pieces, 1);
	for (size_t i = 1; i < sizeof pieces - 1; i++) {
		harness_await_acknowledged(fd);
		ck_assert_int_eq(send(fd, pieces + i, 1, MSG_NOSIGNAL), 1);
	}
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

START_TEST(other_peers_are_closed)
{
	static const char *const strict[] = { "--protocol", "uwsgi", "--uwsgi-allow-from", "192.0.2.1,unix", NULL };
	char response[4096];
	struct web web;

	web_open(&web, handle, strict);
	ck_assert_uint_eq(web_read_rest(web_request(&web, pieces, sizeof pieces - 1), response, sizeof response), 0);
	web_close(&web);
}
END_TEST

START_TEST(an_incomplete_packet_times_out_and_occupies_no_thread)
{
	enum { SLOW = 100 };
	static const char *const hasty[] = { "--protocol", "uwsgi", "--header-timeout", "1s", NULL };
	char response[4096];
	struct web web;
	int fds[SLOW];

	web_open(&web, handle, hasty);
	for (size_t i = 0; i < SLOW; i++)
		fds[i] = web_request(&web, pieces, 1 + i % (sizeof pieces - 2));
	(void)web_read_all(web_request(&web, pieces, sizeof pieces - 1), response, sizeof response);
	ck_assert_int_eq(web_status(response), 200);
	for (int i = 0; i < SLOW; i++) {
		(void)web_read_all(fds[i], response, sizeof response);
		ck_assert_int_eq(web_status(response), 408);
	}
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uwsgi");
	TCase *tc = new_case(suite, "uwsgi");

	violations = read_cases(TABLES "/uwsgi_violations.txt");
	valid = read_cases(TABLES "/uwsgi_packets.txt");
	tcase_add_test(tc, a_violation_gets_its_status_and_the_connection_is_closed);
	tcase_add_test(tc, a_packet_is_a_request);
	tcase_add_test(tc, a_response_of_unknown_length_has_no_chunks_and_no_interim_response);
	tcase_add_test(tc, a_packet_may_arrive_byte_by_byte);
	tcase_add_test(tc, other_peers_are_closed);
	tcase_add_test(tc, an_incomplete_packet_times_out_and_occupies_no_thread);
	const int status = run_suite(suite);
	free_cases(&violations);
	free_cases(&valid);
	return status;
}
