/* The parser of uwsgi packets, tested with two tables: invalid packets, each with its status and error message, and
 * valid ones, each with the values that are read. */
#include "base/text.h"
#include "http/uwsgi_packet.h"

#include "tables.h"

#include <inttypes.h>
#include <stdio.h>

static const struct pfi_limits limits = { .line_max = 4094, .field_max = 8190, .fields_max = 100,
	                                  .head_max = 60000, .body_max = 1048576 };
static struct pfi_uwsgi_variable variables[PFI_UWSGI_VARIABLES_MAX];

static enum pfi_verdict feed(struct pfi_uwsgi_packet *packet, const struct one_case *one, size_t length)
{
	return pfi_uwsgi_packet_feed(packet, tables_put(one->bytes, length), length);
}

static bool is_refused_as(const struct one_case *one, const struct pfi_uwsgi_packet *packet)
{
	const char *const problem = packet->http_error.detail;
	/* A hint may follow behind a colon. */
	const size_t length = problem != NULL ? strcspn(problem, ":") : 0;

	return length > 0 && packet->http_error.status == one->number &&
	       strncmp(one->name, problem, length) == 0;
}

START_TEST(a_violation_is_refused_with_its_status_and_message)
{
	const struct one_case *const one = &tables.violations.all[_i];
	struct pfi_uwsgi_packet packet;

	pfi_uwsgi_packet_start(&packet, variables, &limits);
	ck_assert_msg(feed(&packet, one, one->length) == PFI_BAD && is_refused_as(one, &packet),
	              "%s: %u %s", one->name, packet.http_error.status, packet.http_error.detail);
	ck_assert_uint_eq(pfi_uwsgi_packet_wanted(&packet), 0);
}
END_TEST

START_TEST(a_violation_cut_at_any_byte_is_refused)
{
	const struct one_case *const one = &tables.violations.all[_i];

	for (size_t cut = 0; cut <= one->length; cut = tables_next_cut(cut, one->length)) {
		struct pfi_uwsgi_packet packet;

		pfi_uwsgi_packet_start(&packet, variables, &limits);
		const enum pfi_verdict first = feed(&packet, one, cut);
		ck_assert_msg(first != PFI_DONE, "%s, cut at %zu: accepted", one->name, cut);
		ck_assert((first == PFI_MORE) == (pfi_uwsgi_packet_wanted(&packet) > 0));
		ck_assert_msg(feed(&packet, one, one->length) == PFI_BAD && is_refused_as(one, &packet),
		              "%s, cut at %zu: %u %s", one->name, cut, packet.http_error.status,
		              packet.http_error.detail);
	}
}
END_TEST

static void add_variable(struct pfi_text *text, const char *bytes, const struct pfi_uwsgi_packet *packet,
                         enum pfi_uwsgi_id id)
{
	const struct pfi_uwsgi_variable *const variable = pfi_uwsgi_variable(packet, id);

	if (variable == NULL) {
		pfi_text_add(text, " -");
		return;
	}
	pfi_text_add(text, " '");
	/* A long target would not fit into a line of the table. */
	pfi_text_add_escaped(text, bytes + variable->value.at,
	                     variable->value.length < 60 ? variable->value.length : 60);
	pfi_text_add(text, "'");
}

/* The values that were read, in one line: sizes, counts, and some of the variables. */
static const char *describe(const char *bytes, const struct pfi_uwsgi_packet *packet)
{
	static char line[512];
	struct pfi_text text;

	pfi_text_init(&text, line, sizeof line);
	pfi_text_format(&text, "%u bytes, %u variables, %u fields, body ", packet->length,
	                packet->variables_count, packet->fields_count);
	if (packet->has_body_length)
		pfi_text_format(&text, "%" PRIu64 ":", packet->body_length);
	else
		pfi_text_add(&text, "none:");
	add_variable(&text, bytes, packet, PFI_UWSGI_REQUEST_METHOD);
	add_variable(&text, bytes, packet, PFI_UWSGI_REQUEST_URI);
	add_variable(&text, bytes, packet, PFI_UWSGI_QUERY_STRING);
	add_variable(&text, bytes, packet, PFI_UWSGI_PATH_INFO);
	add_variable(&text, bytes, packet, PFI_UWSGI_REMOTE_ADDR);
	return line;
}

static void expect(const struct one_case *one, const struct pfi_uwsgi_packet *packet)
{
	ck_assert_uint_eq(packet->length, one->length - (size_t)one->number);
	ck_assert_uint_eq(pfi_uwsgi_packet_wanted(packet), 0);
	ck_assert_str_eq(describe(one->bytes, packet), one->name);
}

START_TEST(a_valid_packet_is_read)
{
	const struct one_case *const one = &tables.valid.all[_i];
	struct pfi_uwsgi_packet packet;

	pfi_uwsgi_packet_start(&packet, variables, &limits);
	const enum pfi_verdict verdict = feed(&packet, one, one->length);
	ck_assert_msg(verdict == PFI_DONE, "%s: %u %s", one->reference, packet.http_error.status,
	              packet.http_error.detail);
	expect(one, &packet);
}
END_TEST

/* A short read is not an error. */
START_TEST(a_packet_cut_at_any_byte_is_incomplete)
{
	const struct one_case *const one = &tables.valid.all[_i];
	const size_t size = one->length - (size_t)one->number;

	for (size_t cut = 0; cut < size; cut = tables_next_cut(cut, size)) {
		struct pfi_uwsgi_packet packet;

		pfi_uwsgi_packet_start(&packet, variables, &limits);
		ck_assert_msg(feed(&packet, one, cut) == PFI_MORE, "%s, cut at %zu: %s", one->reference, cut,
		              packet.http_error.detail);
		const size_t wanted = pfi_uwsgi_packet_wanted(&packet);
		ck_assert_uint_gt(wanted, 0);
		ck_assert_uint_le(cut + wanted, size);
		ck_assert_int_eq(feed(&packet, one, size), PFI_DONE);
		expect(one, &packet);
	}
}
END_TEST

/* In two reads. */
START_TEST(no_byte_behind_the_packet_is_read)
{
	const struct one_case *const one = &tables.valid.all[_i];
	struct pfi_uwsgi_packet packet;
	size_t length = 0;
	int reads = 0;

	pfi_uwsgi_packet_start(&packet, variables, &limits);
	for (enum pfi_verdict verdict = PFI_MORE; verdict == PFI_MORE; reads++) {
		length += pfi_uwsgi_packet_wanted(&packet);
		verdict = feed(&packet, one, length);
	}
	ck_assert_uint_eq(length, one->length - (size_t)one->number);
	ck_assert_int_eq(reads, 2);
}
END_TEST

static void add(struct pfi_text *text, const char *name, const char *value)
{
	for (int i = 0; i < 2; i++) {
		const char *const part = i == 0 ? name : value;
		pfi_text_add_char(text, (char)(strlen(part) & 255));
		pfi_text_add_char(text, (char)(strlen(part) >> 8));
		pfi_text_add(text, part);
	}
}

/* The maximum number of variables, and one more. */
START_TEST(too_many_variables_are_refused)
{
	static char bytes[40000];
	struct pfi_text text;
	struct pfi_uwsgi_packet packet;
	char name[16];

	pfi_text_init(&text, bytes, sizeof bytes);
	pfi_text_add_bytes(&text, "\0\0\0\0", 4);
	add(&text, "REQUEST_METHOD", "GET");
	add(&text, "REQUEST_URI", "/");
	add(&text, "QUERY_STRING", "");
	for (int i = 3; i < PFI_UWSGI_VARIABLES_MAX + _i; i++) {
		snprintf(name, sizeof name, "V%d", i);
		add(&text, name, "");
	}
	ck_assert(!text.cut);
	bytes[1] = (char)((text.length - 4) & 255);
	bytes[2] = (char)((text.length - 4) >> 8);
	pfi_uwsgi_packet_start(&packet, variables, &limits);
	const char *const put = tables_put(bytes, text.length);
	ck_assert_int_eq(pfi_uwsgi_packet_feed(&packet, put, text.length), _i == 0 ? PFI_DONE : PFI_BAD);
	ck_assert_uint_eq(packet.http_error.status, _i == 0 ? 0 : 431);
}
END_TEST

START_TEST(the_limits_decide_whether_any_method_is_accepted)
{
	struct pfi_limits lenient = limits;
	const char bytes[] = "\0\x36\0\0\x0e\0REQUEST_METHOD\4\0g#et"
	                     "\x0b\0REQUEST_URI\1\0/\x0c\0QUERY_STRING\0";
	struct pfi_uwsgi_packet packet;

	pfi_uwsgi_packet_start(&packet, variables, &lenient);
	ck_assert_int_eq(pfi_uwsgi_packet_feed(&packet, bytes, sizeof bytes), PFI_BAD);
	ck_assert_uint_eq(packet.http_error.status, 501);
	lenient.any_method = true;
	pfi_uwsgi_packet_start(&packet, variables, &lenient);
	ck_assert_int_eq(pfi_uwsgi_packet_feed(&packet, bytes, sizeof bytes), PFI_DONE);
}
END_TEST

START_TEST(the_tables_are_complete_and_have_no_row_twice)
{
	tables_expect(110, 18, false);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("uwsgi");
	TCase *tc = new_case(suite, "tables");

	tcase_add_test(tc, the_tables_are_complete_and_have_no_row_twice);
	tcase_add_loop_test(tc, a_violation_is_refused_with_its_status_and_message, 0, tables.violations.count);
	tcase_add_loop_test(tc, a_violation_cut_at_any_byte_is_refused, 0, tables.violations.count);
	tcase_add_loop_test(tc, a_valid_packet_is_read, 0, tables.valid.count);
	tcase_add_loop_test(tc, a_packet_cut_at_any_byte_is_incomplete, 0, tables.valid.count);
	tcase_add_loop_test(tc, no_byte_behind_the_packet_is_read, 0, tables.valid.count);
	tcase_add_loop_test(tc, too_many_variables_are_refused, 0, 2);
	tcase_add_test(tc, the_limits_decide_whether_any_method_is_accepted);
	return suite;
}

int main(void)
{
	tables_open(TABLES "/uwsgi_violations.txt", TABLES "/uwsgi_packets.txt");
	return tables_run(make_suite());
}
