/*
 * The parser of the PROXY protocol, tested with two tables: invalid headers, each with its error message,
 * and valid ones, each with the values that are read.
 */
#include "base/crc32c.h"
#include "base/text.h"
#include "worker/proxy_header.h"

#include "../http/tables.h"

#include <arpa/inet.h>

static enum pfi_verdict feed(struct pfi_proxy_header *header, const struct one_case *one, size_t length)
{
	return pfi_proxy_header_feed(header, tables_put(one->bytes, length), length);
}

static struct pfi_proxy_header feed_all(const struct one_case *one, enum pfi_verdict *verdict)
{
	struct pfi_proxy_header header;

	pfi_proxy_header_start(&header, (unsigned)one->number);
	*verdict = feed(&header, one, one->length);
	return header;
}

static bool starts_with(const char *text, const char *start)
{
	return start != NULL && strncmp(text, start, strlen(start)) == 0;
}

START_TEST(a_violation_is_refused_with_its_message)
{
	const struct one_case *const one = &tables.violations.all[_i];
	enum pfi_verdict verdict;
	const struct pfi_proxy_header header = feed_all(one, &verdict);

	ck_assert_msg(verdict == PFI_BAD && starts_with(one->name, header.problem), "%s: verdict %d, %s",
	              one->name, verdict, header.problem);
	ck_assert_uint_eq(pfi_proxy_header_wanted(&header), 0);
}
END_TEST

START_TEST(a_violation_cut_at_any_byte_is_refused)
{
	const struct one_case *const one = &tables.violations.all[_i];

	for (size_t cut = 0; cut <= one->length; cut++) {
		struct pfi_proxy_header header;

		pfi_proxy_header_start(&header, (unsigned)one->number);
		const enum pfi_verdict first = feed(&header, one, cut);
		ck_assert_msg(first != PFI_DONE, "%s, cut at %zu: accepted", one->name, cut);
		ck_assert_msg((first == PFI_MORE) == (pfi_proxy_header_wanted(&header) > 0), "%s", one->name);
		ck_assert_msg(feed(&header, one, one->length) == PFI_BAD, "%s, cut at %zu", one->name, cut);
		ck_assert_msg(starts_with(one->name, header.problem), "%s, cut at %zu: %s", one->name, cut,
		              header.problem);
	}
}
END_TEST

static void add_address(struct pfi_text *text, const struct pfi_proxy_address *address)
{
	char ip[INET6_ADDRSTRLEN];

	switch (address->size == 0 ? AF_UNSPEC : address->socket.any.sa_family) {
	case AF_INET:
		ck_assert_uint_eq(address->size, sizeof address->socket.in);
		inet_ntop(AF_INET, &address->socket.in.sin_addr, ip, sizeof ip);
		pfi_text_format(text, " %s:%u", ip, ntohs(address->socket.in.sin_port));
		break;
	case AF_INET6:
		ck_assert_uint_eq(address->size, sizeof address->socket.in6);
		inet_ntop(AF_INET6, &address->socket.in6.sin6_addr, ip, sizeof ip);
		pfi_text_format(text, " [%s]:%u", ip, ntohs(address->socket.in6.sin6_port));
		break;
	case AF_UNIX:
		pfi_text_add(text, " unix:'");
		pfi_text_add_escaped(text, address->socket.un.sun_path,
		                     address->size - offsetof(struct sockaddr_un, sun_path));
		pfi_text_add(text, "'");
		break;
	default:
		pfi_text_add(text, " -");
		break;
	}
}

static void add_value(struct pfi_text *text, const char *name, const char *bytes,
                      struct pfi_proxy_value value)
{
	if (value.at == 0)
		return;
	pfi_text_format(text, " %s='", name);
	pfi_text_add_escaped(text, bytes + value.at, value.length);
	pfi_text_add(text, "'");
}

static void add_ssl(struct pfi_text *text, const char *bytes, const struct pfi_proxy_header *header)
{
	const struct pfi_proxy_ssl *const ssl = &header->ssl;

	pfi_text_format(text, " ssl=%u verify=%u%s", ssl->client, ssl->verify,
	                pfi_proxy_ssl_verified(header) ? " verified" : "");
	add_value(text, "version", bytes, ssl->version);
	add_value(text, "cn", bytes, ssl->cn);
	add_value(text, "cipher", bytes, ssl->cipher);
	add_value(text, "sig_alg", bytes, ssl->sig_alg);
	add_value(text, "key_alg", bytes, ssl->key_alg);
	add_value(text, "group", bytes, ssl->group);
	add_value(text, "sig_scheme", bytes, ssl->sig_scheme);
	add_value(text, "certificate", bytes, ssl->certificate);
}

/* The types that the iterator returns. */
static void add_types(struct pfi_text *text, const char *bytes, const struct pfi_proxy_header *header)
{
	struct pfi_proxy_value value;
	uint16_t at = 0;
	uint8_t type = 0;

	for (size_t i = 0; pfi_proxy_tlv_next(header, bytes, &at, &type, &value); i++) {
		ck_assert_uint_le(value.at + value.length, header->length);
		pfi_text_format(text, "%s%02x", i == 0 ? " tlvs=" : ",", type);
	}
}

/* All values of the header, in one line. */
static const char *describe(const char *bytes, const struct pfi_proxy_header *header)
{
	static char line[1024];
	struct pfi_text text;

	pfi_text_init(&text, line, sizeof line);
	pfi_text_format(&text, "%u v%u%s%s", header->length, header->version, header->local ? " LOCAL" : "",
	                header->datagram ? " datagram" : "");
	add_address(&text, &header->source);
	add_address(&text, &header->destination);
	add_value(&text, "alpn", bytes, header->alpn);
	add_value(&text, "authority", bytes, header->authority);
	add_value(&text, "unique_id", bytes, header->unique_id);
	add_value(&text, "netns", bytes, header->netns);
	if (header->has_ssl)
		add_ssl(&text, bytes, header);
	add_types(&text, bytes, header);
	if (header->has_checksum)
		pfi_text_add(&text, " checksum");
	return line;
}

START_TEST(a_valid_header_is_read)
{
	const struct one_case *const one = &tables.valid.all[_i];
	enum pfi_verdict verdict;
	const struct pfi_proxy_header header = feed_all(one, &verdict);

	ck_assert_msg(verdict == PFI_DONE, "%s: verdict %d, %s", one->reference, verdict, header.problem);
	ck_assert_uint_eq(pfi_proxy_header_wanted(&header), 0);
	ck_assert_uint_le(header.length, one->length);
	ck_assert_str_eq(describe(one->bytes, &header), one->name);
}
END_TEST

START_TEST(a_header_cut_at_any_byte_is_incomplete)
{
	const struct one_case *const one = &tables.valid.all[_i];
	enum pfi_verdict verdict;
	const struct pfi_proxy_header expected = feed_all(one, &verdict);

	for (size_t cut = 0; cut < expected.length; cut++) {
		struct pfi_proxy_header header;

		pfi_proxy_header_start(&header, (unsigned)one->number);
		ck_assert_msg(feed(&header, one, cut) == PFI_MORE, "%s, cut at %zu: %s", one->reference, cut,
		              header.problem);
		const size_t wanted = pfi_proxy_header_wanted(&header);
		ck_assert_msg(wanted > 0 && cut + wanted <= expected.length, "%s, cut at %zu: wants %zu",
		              one->reference, cut, wanted);
		ck_assert_int_eq(feed(&header, one, expected.length), PFI_DONE);
		ck_assert_str_eq(describe(one->bytes, &header), one->name);
	}
}
END_TEST

/* A reader that reads as many bytes as are wanted stops before the first byte of the client, after few reads. */
START_TEST(no_byte_behind_the_header_is_read)
{
	const struct one_case *const one = &tables.valid.all[_i];
	struct pfi_proxy_header header;
	size_t length = 0;
	int reads = 0;

	pfi_proxy_header_start(&header, (unsigned)one->number);
	for (enum pfi_verdict verdict = PFI_MORE; verdict == PFI_MORE; reads++) {
		length += pfi_proxy_header_wanted(&header);
		ck_assert_uint_le(length, one->length);
		verdict = feed(&header, one, length);
	}
	ck_assert_uint_eq(length, header.length);
	ck_assert_int_le(reads, header.version == 2 ? 3 : header.source.size > 0 ? 16 : 50);
}
END_TEST

/* The reader never reads more than the maximum, whether the header is valid or not. */
START_TEST(a_violation_is_read_up_to_the_maximum)
{
	const struct one_case *const one = &tables.violations.all[_i];
	struct pfi_proxy_header header;
	size_t length = 0;

	pfi_proxy_header_start(&header, (unsigned)one->number);
	while (length <= one->length && feed(&header, one, length) == PFI_MORE)
		length += pfi_proxy_header_wanted(&header);
	ck_assert_uint_le(length, header.version == 1 ? PFI_PROXY_LINE_MAX : PFI_PROXY_HEADER_MAX);
}
END_TEST

START_TEST(later_input_does_not_change_a_verdict)
{
	struct pfi_proxy_header header;

	pfi_proxy_header_start(&header, PFI_PROXY_AUTO);
	ck_assert_int_eq(pfi_proxy_header_feed(&header, "", 0), PFI_MORE);
	ck_assert_uint_eq(pfi_proxy_header_wanted(&header), 8);
	ck_assert_int_eq(pfi_proxy_header_feed(&header, "GET / HT", 8), PFI_BAD);
	ck_assert_int_eq(pfi_proxy_header_feed(&header, "PROXY UNKNOWN\r\n", 15), PFI_BAD);
	pfi_proxy_header_start(&header, PFI_PROXY_V1);
	ck_assert_int_eq(pfi_proxy_header_feed(&header, "PROXY UNKNOWN\r\n", 15), PFI_DONE);
	ck_assert_int_eq(pfi_proxy_header_feed(&header, "GET / HT", 8), PFI_DONE);
}
END_TEST

/* RFC 3720 B.4, and the check value of the catalogues. */
START_TEST(crc32c_is_castagnoli)
{
	static const char zeros[32];
	char bytes[32];

	ck_assert_uint_eq(pfi_crc32c(0, "", 0), 0);
	ck_assert_uint_eq(pfi_crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(pfi_crc32c(pfi_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
	ck_assert_uint_eq(pfi_crc32c(0, zeros, sizeof zeros), 0x8a9136aa);
	memset(bytes, 0xff, sizeof bytes);
	ck_assert_uint_eq(pfi_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (char)i;
	ck_assert_uint_eq(pfi_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
}
END_TEST

/* Each bit of a header with a checksum counts. */
START_TEST(the_checksum_refuses_every_changed_bit)
{
	for (int i = 0; i < tables.valid.count; i++) {
		const struct one_case *const one = &tables.valid.all[i];
		enum pfi_verdict verdict;
		const struct pfi_proxy_header good = feed_all(one, &verdict);

		for (size_t bit = 0; good.has_checksum && bit < good.length * 8u; bit++) {
			struct pfi_proxy_header header;
			/* LOCAL instead of PROXY: the block and its checksum are discarded. */
			if (bit == 12 * 8)
				continue;
			one->bytes[bit / 8] ^= (char)(1 << bit % 8);
			pfi_proxy_header_start(&header, PFI_PROXY_AUTO);
			verdict = feed(&header, one, good.length);
			ck_assert_msg(verdict != PFI_DONE || !header.has_checksum, "%s, bit %zu",
			              one->reference, bit);
			one->bytes[bit / 8] ^= (char)(1 << bit % 8);
		}
	}
}
END_TEST

START_TEST(the_tables_are_complete_and_have_no_row_twice)
{
	tables_expect(130, 40, true);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("proxy_header");
	TCase *tc = new_case(suite, "tables");

	tcase_add_test(tc, the_tables_are_complete_and_have_no_row_twice);
	tcase_add_loop_test(tc, a_violation_is_refused_with_its_message, 0, tables.violations.count);
	tcase_add_loop_test(tc, a_violation_cut_at_any_byte_is_refused, 0, tables.violations.count);
	tcase_add_loop_test(tc, a_violation_is_read_up_to_the_maximum, 0, tables.violations.count);
	tcase_add_loop_test(tc, a_valid_header_is_read, 0, tables.valid.count);
	tcase_add_loop_test(tc, a_header_cut_at_any_byte_is_incomplete, 0, tables.valid.count);
	tcase_add_loop_test(tc, no_byte_behind_the_header_is_read, 0, tables.valid.count);
	tcase_add_test(tc, later_input_does_not_change_a_verdict);
	tcase_add_test(tc, crc32c_is_castagnoli);
	tcase_add_test(tc, the_checksum_refuses_every_changed_bit);
	return suite;
}

int main(void)
{
	tables_open(TABLES "/proxy_violations.txt", TABLES "/proxy_headers.txt");
	return tables_run(make_suite());
}
