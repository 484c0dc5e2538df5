/* Which proxies are trusted, and which scheme they report. */
#include "../support.h"

#include "http/forwarded.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *allowed;
	const char *peer;
	bool trusted;
} peers[] = {
	{ "127.0.0.1", "127.0.0.1", true },   { "127.0.0.1", "127.0.0.2", false },
	{ "::1", "::1", true },               { "::1", "127.0.0.1", false },
	{ "10.0.0.0/8", "10.255.0.3", true }, { "10.0.0.0/8", "11.0.0.1", false },
	{ "10.1.2.128/25", "10.1.2.128", true }, { "10.1.2.128/25", "10.1.2.127", false },
	{ "192.0.2.4/30", "192.0.2.7", true }, { "192.0.2.4/30", "192.0.2.8", false },
	{ "0.0.0.0/0", "203.0.113.9", true }, { "0.0.0.0/0", "2001:db8::1", false },
	{ "2001:db8::/33", "2001:db8:7fff::1", true }, { "2001:db8::/33", "2001:db8:8000::1", false },
	{ "::/0", "2001:db8::1", true },      { "::ffff:10.0.0.1", "10.0.0.1", true },
	{ "10.0.0.1/32", "10.0.0.1", true },  { "fd00::1/128", "fd00::2", false },
	{ "*", "203.0.113.9", true },         { "*", "nonsense", true },
	{ "10.0.0.1", "nonsense", false },    { "10.0.0.1", "", true }, /* a unix socket */
};

START_TEST(only_peers_in_forwarded_allow_ips_are_trusted)
{
	struct pfi_forwarded trust = { 0 };

	ck_assert_msg(pfi_forwarded_add_peer(&trust, "198.51.100.7") == 0, "%s", prefork_error());
	ck_assert_msg(pfi_forwarded_add_peer(&trust, peers[_i].allowed) == 0, "%s", prefork_error());
	ck_assert_msg(pfi_forwarded_is_trusted(&trust, peers[_i].peer) == peers[_i].trusted, "%s by %s", peers[_i].peer,
	              peers[_i].allowed);
	ck_assert(pfi_forwarded_is_trusted(&trust, "198.51.100.7"));
	pfi_forwarded_clear(&trust);
}
END_TEST

START_TEST(without_networks_only_unix_sockets_are_trusted)
{
	const struct pfi_forwarded trust = { 0 };

	ck_assert(!pfi_forwarded_is_trusted(&trust, "127.0.0.1"));
	ck_assert(pfi_forwarded_is_trusted(&trust, ""));
}
END_TEST

static const char *const not_peers[] = {
	"", "localhost", "10.0.0", "10.0.0.256", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.1/8",
	"::1/129", "fd00::1/64", "1.2.3.4:80", "[::1]", " 10.0.0.1", "/8", "**",
	"00000000000000000000000000000000000000000000000000000000000000000000000000000",
};

START_TEST(an_invalid_peer_is_refused)
{
	struct pfi_forwarded trust = { 0 };

	ck_assert_int_eq(pfi_forwarded_add_peer(&trust, not_peers[_i]), -EINVAL);
	ck_assert_msg(strncmp(prefork_error(), "forwarded_allow_ips: ", 21) == 0, "%s", prefork_error());
	ck_assert_uint_eq(trust.peers.count, 0);
	pfi_forwarded_clear(&trust);
}
END_TEST

static const struct {
	const char *fields;
	enum pfi_scheme scheme;
} schemes[] = {
	{ "", PFI_SCHEME_UNREPORTED },
	{ "X-Forwarded-Proto: https\r\n", PFI_SCHEME_SECURE },
	{ "x-FORWARDED-proto:   https  \r\n", PFI_SCHEME_SECURE },
	{ "X-Forwarded-Proto: http\r\n", PFI_SCHEME_PLAIN },
	{ "X-Forwarded-Proto: HTTPS\r\n", PFI_SCHEME_PLAIN },
	{ "X-Forwarded-Proto: https, http\r\n", PFI_SCHEME_PLAIN },
	{ "X-Forwarded-Protocol: ssl\r\n", PFI_SCHEME_SECURE },
	{ "X-Forwarded-Ssl: on\r\n", PFI_SCHEME_SECURE },
	{ "X-Forwarded-Ssl: off\r\n", PFI_SCHEME_PLAIN },
	{ "X-Tls: yes\r\n", PFI_SCHEME_SECURE },
	{ "X-TLS: no\r\n", PFI_SCHEME_PLAIN },
	{ "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on\r\n", PFI_SCHEME_SECURE },
	{ "X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: off\r\n", PFI_SCHEME_PLAIN },
	{ "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n", PFI_SCHEME_CONTRADICTORY },
	{ "X-Forwarded-Proto: http\r\nX-Tls: yes\r\n", PFI_SCHEME_CONTRADICTORY },
	{ "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", PFI_SCHEME_CONTRADICTORY },
};

START_TEST(the_fields_of_a_proxy_set_the_scheme)
{
	static const struct pfi_limits limits = PFI_LIMITS_DEFAULT;
	struct pfi_forwarded trust = { 0 };
	struct pfi_field fields[100];
	struct pfi_head head;
	char bytes[512];
	const int length = snprintf(bytes, sizeof bytes, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", schemes[_i].fields);

	pfi_head_start(&head, fields, &limits);
	ck_assert_int_eq(pfi_head_feed(&head, bytes, (size_t)length), PFI_DONE);
	ck_assert_int_eq(pfi_forwarded_add_field(&trust, "X-FORWARDED-PROTOCOL=ssl"), 0);
	ck_assert_int_eq(pfi_forwarded_add_field(&trust, "X-Forwarded-Proto=https"), 0);
	ck_assert_int_eq(pfi_forwarded_add_field(&trust, "X-Forwarded-Ssl=on"), 0);
	if (strcasestr(schemes[_i].fields, "tls") == NULL)
		ck_assert_int_eq(pfi_forwarded_concerns(&trust, &head), schemes[_i].fields[0] != '\0');
	ck_assert_int_eq(pfi_forwarded_add_field(&trust, "X-Tls=yes"), 0);
	ck_assert(pfi_forwarded_concerns(&trust, &head));
	ck_assert_int_eq(pfi_forwarded_scheme(&trust, &head, bytes), schemes[_i].scheme);
	pfi_forwarded_clear(&trust);
}
END_TEST

START_TEST(an_invalid_field_is_refused)
{
	static const char *const wrong[] = { "", "X", "X=", "=on", "X Y=on", "X:Y=on" };
	struct pfi_forwarded trust = { 0 };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ck_assert_int_eq(pfi_forwarded_add_field(&trust, wrong[i]), -EINVAL);
	for (int i = 0; i < PFI_FORWARDED_FIELDS_MAX; i++)
		ck_assert_int_eq(pfi_forwarded_add_field(&trust, "A=b"), 0);
	ck_assert_int_eq(pfi_forwarded_add_field(&trust, "A=b"), -EINVAL);
	pfi_forwarded_clear(&trust);
}
END_TEST

static const struct {
	enum pfi_underscores mode;
	bool trusted;
	const char *kept; /* NULL: refused */
} underscores[] = {
	{ PFI_UNDERSCORES_DROP, false, "Host" },   { PFI_UNDERSCORES_DROP, true, "SCRIPT_NAME Host" },
	{ PFI_UNDERSCORES_REFUSE, false, NULL },   { PFI_UNDERSCORES_REFUSE, true, NULL },
	{ PFI_UNDERSCORES_KEEP, false, "Host A_b" }, { PFI_UNDERSCORES_KEEP, true, "SCRIPT_NAME Host A_b" },
};

START_TEST(header_names_with_underscores_depend_on_peer_and_mode)
{
	static const char bytes[] = "GET / HTTP/1.1\r\nSCRIPT_NAME: /a\r\nHost: h\r\nA_b: 1\r\n\r\n";
	static const char *const names[] = { "script_name", "Path_Info", NULL };
	const struct prefork_list list = { names, 2 };
	const struct pfi_forwarded trust = { .names = &list };
	struct pfi_limits limits = PFI_LIMITS_DEFAULT;
	struct pfi_field fields[100];
	struct pfi_head head;
	char kept[64] = "";

	pfi_head_start(&head, fields, &limits);
	ck_assert_int_eq(pfi_head_feed(&head, bytes, sizeof bytes - 1), PFI_DONE);
	ck_assert_int_eq(pfi_forwarded_settle_underscores(&trust, &head, bytes, underscores[_i].mode, underscores[_i].trusted),
	                 underscores[_i].kept != NULL);
	if (underscores[_i].kept == NULL)
		return;
	for (uint32_t i = 0; i < head.fields_count; i++) {
		const struct pfi_span name = head.fields[i].name;

		(void)snprintf(kept + strlen(kept), sizeof kept - strlen(kept), "%s%.*s", i > 0 ? " " : "", (int)name.length,
		               bytes + name.at);
	}
	ck_assert_str_eq(kept, underscores[_i].kept);
}
END_TEST

START_TEST(an_asterisk_lists_all_names_with_underscores)
{
	static const char bytes[] = "GET / HTTP/1.1\r\nA_b: 1\r\n\r\n";
	static const char *const names[] = { "*", NULL };
	const struct prefork_list list = { names, 1 };
	const struct pfi_forwarded trust = { .names = &list };
	struct pfi_limits limits = PFI_LIMITS_DEFAULT;
	struct pfi_field fields[100];
	struct pfi_head head;

	for (int trusted = 0; trusted < 2; trusted++) {
		pfi_head_start(&head, fields, &limits);
		ck_assert_int_eq(pfi_head_feed(&head, bytes, sizeof bytes - 1), PFI_DONE);
		ck_assert_int_eq(pfi_forwarded_settle_underscores(&trust, &head, bytes, PFI_UNDERSCORES_REFUSE, trusted), trusted);
		ck_assert_uint_eq(head.fields_count, 1);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("forwarded");
	TCase *tc = new_case(suite, "forwarded");
	tcase_add_loop_test(tc, only_peers_in_forwarded_allow_ips_are_trusted, 0, (int)(sizeof peers / sizeof peers[0]));
	tcase_add_test(tc, without_networks_only_unix_sockets_are_trusted);
	tcase_add_loop_test(tc, an_invalid_peer_is_refused, 0, (int)(sizeof not_peers / sizeof not_peers[0]));
	tcase_add_loop_test(tc, the_fields_of_a_proxy_set_the_scheme, 0, (int)(sizeof schemes / sizeof schemes[0]));
	tcase_add_test(tc, an_invalid_field_is_refused);
	tcase_add_loop_test(tc, header_names_with_underscores_depend_on_peer_and_mode, 0,
	                    (int)(sizeof underscores / sizeof underscores[0]));
	tcase_add_test(tc, an_asterisk_lists_all_names_with_underscores);

	return run_suite(suite);
}
