/* The head of HTTP/1 that is made of a uwsgi packet, and what the proxy reports about its client. */
#include "../support.h"

#include "cases.h"
#include "http/framing.h"
#include "http/uwsgi_head.h"

#include <stdio.h>

enum { PAIRS_MAX = 12, PACKET_MAX = 8192 };

static const struct pfi_limits limits = { .line_max = 4094, .field_max = 8190, .fields_max = 100,
	                                  .head_max = 60000, .body_max = 1048576 };
static struct pfi_uwsgi_variable variables[PFI_UWSGI_VARIABLES_MAX];
static struct pfi_field fields[100];
static char packet_bytes[PACKET_MAX], text[3 * PACKET_MAX];

static size_t put(char *to, const char *from)
{
	const size_t length = strlen(from);

	to[0] = (char)(length & 255);
	to[1] = (char)(length >> 8);
	memcpy(to + 2, from, length);
	return length + 2;
}

/* A packet with the variables that nginx always sends, and `pairs`. */
static void make(const char *const pairs[], const char *uri, const char *query, struct pfi_uwsgi_packet *packet)
{
	const char *const always[] = { "REQUEST_METHOD", "GET", "REQUEST_URI", uri, "QUERY_STRING", query, NULL };
	const char *const *const lists[] = { always, pairs };
	size_t length = 4;

	for (int k = 0; k < 2; k++)
		for (int i = 0; lists[k][i]; i++)
			length += put(packet_bytes + length, lists[k][i]);
	packet_bytes[0] = packet_bytes[3] = 0;
	packet_bytes[1] = (char)((length - 4) & 255);
	packet_bytes[2] = (char)((length - 4) >> 8);
	pfi_uwsgi_packet_start(packet, variables, &limits);
	ck_assert_msg(pfi_uwsgi_packet_feed(packet, packet_bytes, length) == PFI_DONE, "%s", packet->http_error.detail);
}

static const struct {
	const char *pairs[PAIRS_MAX];
	const char *head;
} heads[] = {
	{ { NULL }, "GET /a?b HTTP/1.0\r\n\r\n" },
	{ { "HTTP_HOST", "h" }, "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n" },
	{ { "SERVER_PROTOCOL", "HTTP/1.0", "HTTP_HOST", "h" }, "GET /a?b HTTP/1.0\r\nHost: h\r\n\r\n" },
	{ { "SERVER_PROTOCOL", "HTTP/2.0", "HTTP_HOST", "h" }, "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n" },
	{ { "HTTP_USER_AGENT", "x", "HTTP_X_A", "1", "HTTP_X_A", "2", "HTTP_X.Y", "" },
	  "GET /a?b HTTP/1.0\r\nUser-Agent: x\r\nX-A: 1\r\nX-A: 2\r\nX.y: \r\n\r\n" },
	/* nginx sends both. */
	{ { "CONTENT_LENGTH", "3", "CONTENT_TYPE", "text/plain", "HTTP_CONTENT_LENGTH", "3", "HTTP_CONTENT_TYPE", "text/plain" },
	  "GET /a?b HTTP/1.0\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n" },
	{ { "CONTENT_LENGTH", "", "CONTENT_TYPE", "", "HTTP_CONTENT_TYPE", "a/b" },
	  "GET /a?b HTTP/1.0\r\nContent-Type: a/b\r\n\r\n" },
	/* uwsgi_pass_request_body off: there is no body. */
	{ { "CONTENT_LENGTH", "", "HTTP_CONTENT_LENGTH", "9" }, "GET /a?b HTTP/1.0\r\n\r\n" },
	/* nginx has decoded the chunks. */
	{ { "CONTENT_LENGTH", "3", "HTTP_TRANSFER_ENCODING", "chunked" }, "GET /a?b HTTP/1.0\r\nContent-Length: 3\r\n\r\n" },
	{ { "CONTENT_LENGTH", "0007" }, "GET /a?b HTTP/1.0\r\nContent-Length: 7\r\n\r\n" },
	/* Between the client and nginx. */
	{ { "HTTP_CONNECTION", "keep-alive, upgrade", "HTTP_KEEP_ALIVE", "1", "HTTP_UPGRADE", "websocket", "HTTP_TE", "trailers",
	    "HTTP_TRAILER", "x" }, "GET /a?b HTTP/1.0\r\n\r\n" },
	{ { "HTTP_EXPECT", "100-continue", "HTTP_PROXY_CONNECTION", "close" }, "GET /a?b HTTP/1.0\r\n\r\n" },
	/* httpoxy */
	{ { "HTTP_PROXY", "evil:80", "HTTP_PROXY_X", "1" }, "GET /a?b HTTP/1.0\r\nProxy-X: 1\r\n\r\n" },
	/* No header field by these names comes from a variable of the configuration. */
	{ { "SSL_CLIENT_CERT", "a\nb", "DOCUMENT_ROOT", "/x", "SERVER_NAME", "n" }, "GET /a?b HTTP/1.0\r\n\r\n" },
};

START_TEST(the_head_is_that_which_the_proxy_has_received)
{
	struct pfi_uwsgi_packet packet;
	struct pfi_out out = { text, 0, 0 };
	struct pfi_head head;
	struct pfi_framing framing;

	make(heads[_i].pairs, "/a?b", "b", &packet);
	out.size = packet.length;
	pfi_uwsgi_head_write(&packet, packet_bytes, &out);
	text[out.length] = '\0';
	ck_assert_str_eq(text, heads[_i].head);
	pfi_head_start(&head, fields, &limits);
	ck_assert_int_eq(pfi_head_feed(&head, text, out.length), PFI_DONE);
	ck_assert_int_eq(pfi_framing_decide(&framing, &head, text), PFI_DONE);
	ck_assert_uint_eq(framing.length, packet.body_length);
}
END_TEST

/* The packets that were recorded. */
START_TEST(every_valid_packet_becomes_a_valid_head_that_is_not_longer)
{
	struct cases cases = read_cases(TABLES "/uwsgi_packets.txt");

	for (int i = 0; i < cases.count; i++) {
		const struct one_case *const one = &cases.all[i];
		struct pfi_uwsgi_packet packet;
		struct pfi_head head;

		pfi_uwsgi_packet_start(&packet, variables, &limits);
		ck_assert_int_eq(pfi_uwsgi_packet_feed(&packet, one->bytes, one->length), PFI_DONE);
		struct pfi_out out = { text, 0, packet.length };
		pfi_uwsgi_head_write(&packet, one->bytes, &out);
		pfi_head_start(&head, fields, &limits);
		ck_assert_msg(pfi_head_feed(&head, text, out.length) == PFI_DONE, "%s: %s", one->reference, head.http_error.detail);
		ck_assert_uint_eq(head.at, out.length);
	}
	free_cases(&cases);
}
END_TEST

static const struct {
	const char *uri, *query, *path; /* NULL: PATH_INFO is absent */
	const char *rewritten;          /* NULL: it is not */
} paths[] = {
	{ "/", "", NULL, NULL },
	{ "/", "", "/", NULL },
	{ "/a%20b?c=%20", "c=%20", "/a b", NULL },
	{ "/a%2fb", "", "/a/b", NULL },
	{ "/a%2", "", "/a%2", NULL },
	{ "/a%zz", "", "/a%zz", NULL },
	{ "/a?", "", "/a", NULL },
	{ "/shop/a?b", "b", "/a", "/a" },          /* rewrite ... break */
	{ "//a/../b", "", "/b", "/b" },            /* merge_slashes */
	{ "/a?b", "b&c=d", "/a", "/a" },           /* rewrite /a?c=d */
	{ "/a?b", "", "/a", "/a" },
	{ "/a", "x", NULL, "/" },
	{ "/x", "", "/a b%\n\xc3\xa9?#", "/a%20b%25%0A%C3%A9%3F%23" },
	{ "/x", "", "", "/" },
};

START_TEST(path_info_counts_if_the_proxy_has_rewritten_it)
{
	const char *const pairs[] = { paths[_i].path ? "PATH_INFO" : NULL, paths[_i].path, NULL };
	struct pfi_uwsgi_packet packet;
	struct pfi_out out = { text, 0, sizeof text };

	make(pairs, paths[_i].uri, paths[_i].query, &packet);
	ck_assert_int_eq(pfi_uwsgi_is_rewritten(&packet, packet_bytes), paths[_i].rewritten != NULL);
	if (paths[_i].rewritten == NULL)
		return;
	pfi_uwsgi_path_write(&packet, packet_bytes, &out);
	text[out.length] = '\0';
	ck_assert_str_eq(text, paths[_i].rewritten);
}
END_TEST

static const struct {
	const char *pairs[PAIRS_MAX];
	struct pfi_uwsgi_client client;
} clients[] = {
	{ { NULL }, { false, false, 0, "" } },
	{ { "REMOTE_ADDR", "192.0.2.1", "REMOTE_PORT", "65535" }, { true, false, 65535, "192.0.2.1" } },
	{ { "REMOTE_ADDR", "2001:db8::1", "HTTPS", "on" }, { true, true, 0, "2001:db8::1" } },
	{ { "REMOTE_ADDR", "unix:", "REMOTE_PORT", "" }, { true, false, 0, "" } },
	{ { "REMOTE_ADDR", "", "HTTPS", "" }, { false, false, 0, "" } },
	{ { "REQUEST_SCHEME", "https" }, { false, true, 0, "" } },
	{ { "REQUEST_SCHEME", "http", "HTTPS", "off" }, { false, false, 0, "" } },
	{ { "HTTP_HTTPS", "on", "HTTP_REMOTE_ADDR", "192.0.2.1" }, { false, false, 0, "" } }, /* of the client */
};

START_TEST(the_proxy_reports_its_client)
{
	const struct pfi_uwsgi_client *const expected = &clients[_i].client;
	struct pfi_uwsgi_packet packet;

	make(clients[_i].pairs, "/", "", &packet);
	const struct pfi_uwsgi_client client = pfi_uwsgi_client_read(&packet, packet_bytes);
	ck_assert_int_eq(client.is_known, expected->is_known);
	ck_assert_int_eq(client.is_secure, expected->is_secure);
	ck_assert_uint_eq(client.port, expected->port);
	ck_assert_str_eq(client.address, expected->address);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uwsgi_head");
	TCase *tc = new_case(suite, "uwsgi_head");

	tcase_add_loop_test(tc, the_head_is_that_which_the_proxy_has_received, 0, sizeof heads / sizeof heads[0]);
	tcase_add_test(tc, every_valid_packet_becomes_a_valid_head_that_is_not_longer);
	tcase_add_loop_test(tc, path_info_counts_if_the_proxy_has_rewritten_it, 0, sizeof paths / sizeof paths[0]);
	tcase_add_loop_test(tc, the_proxy_reports_its_client, 0, sizeof clients / sizeof clients[0]);
	return run_suite(suite);
}
