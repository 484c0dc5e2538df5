/* The parsers of requests, tested with the tables of violations and oddities. tests/proc/test_http.c sends the tables
 * over sockets. */
#include "stream.h"
#include "tables.h"

static const struct pfi_limits limits = { .line_max = 4094, .field_max = 8190, .fields_max = 100,
	                                  .head_max = 65536, .body_max = 1048576 };

static struct stream feed_all(const struct one_case *one, enum pfi_verdict *verdict)
{
	struct stream stream;

	stream_start(&stream, &limits);
	*verdict = stream_feed(&stream, tables_put(one->bytes, one->length), one->length);
	return stream;
}

static void expect_same(const struct one_case *one, const struct stream *stream,
                        const struct stream *expected, enum pfi_verdict verdict,
                        enum pfi_verdict expected_verdict, size_t cut)
{
	ck_assert_msg(verdict == expected_verdict &&
	              stream->http_error.status == expected->http_error.status &&
	              stream->requests == expected->requests && stream->body_sum == expected->body_sum,
	              "%s, cut at %zu: verdict %d (%u: %s), %u requests; whole: %d (%u), %u", one->name,
	              cut, verdict, stream->http_error.status,
	              stream->http_error.detail != NULL ? stream->http_error.detail : "", stream->requests,
	              expected_verdict, expected->http_error.status, expected->requests);
}

static void expect_same_in_two_pieces(const struct one_case *one)
{
	enum pfi_verdict expected_verdict;
	const struct stream expected = feed_all(one, &expected_verdict);

	for (size_t cut = 0; cut <= one->length; cut = tables_next_cut(cut, one->length)) {
		struct stream stream;
		stream_start(&stream, &limits);
		enum pfi_verdict verdict = stream_feed(&stream, tables_put(one->bytes, cut), cut);
		if (verdict != PFI_BAD)
			verdict = stream_feed(&stream, tables_put(one->bytes, one->length), one->length);
		expect_same(one, &stream, &expected, verdict, expected_verdict, cut);
	}
}

static void expect_same_byte_by_byte(const struct one_case *one)
{
	enum pfi_verdict expected_verdict;
	const struct stream expected = feed_all(one, &expected_verdict);
	struct stream stream;
	enum pfi_verdict verdict = PFI_DONE;

	stream_start(&stream, &limits);
	for (size_t end = 0; end <= one->length && verdict != PFI_BAD; end = tables_next_cut(end, one->length))
		verdict = stream_feed(&stream, tables_put(one->bytes, end), end);
	expect_same(one, &stream, &expected, verdict, expected_verdict, 1);
}

START_TEST(a_violation_is_refused_with_its_status)
{
	const struct one_case *const one = &tables.violations.all[_i];
	enum pfi_verdict verdict;
	const struct stream stream = feed_all(one, &verdict);

	ck_assert_msg(verdict == PFI_BAD && stream.http_error.status == one->number,
	              "%s (%s): verdict %d, status %u instead of %d", one->name, one->reference, verdict,
	              stream.http_error.status, one->number);
	ck_assert_msg(stream.http_error.detail != NULL && stream.requests == 0, "%s", one->name);
}
END_TEST

START_TEST(pieces_do_not_change_the_verdict_on_a_violation)
{
	expect_same_in_two_pieces(&tables.violations.all[_i]);
	expect_same_byte_by_byte(&tables.violations.all[_i]);
}
END_TEST

START_TEST(an_oddity_is_accepted)
{
	const struct one_case *const one = &tables.valid.all[_i];
	enum pfi_verdict verdict;
	const struct stream stream = feed_all(one, &verdict);

	ck_assert_msg(verdict == PFI_DONE && (int)stream.requests == one->number && stream.at == one->length,
	              "%s (%s): verdict %d, %u: %s; %u requests", one->name, one->reference, verdict,
	              stream.http_error.status, stream.http_error.detail, stream.requests);
}
END_TEST

START_TEST(pieces_do_not_change_the_verdict_on_an_oddity)
{
	expect_same_in_two_pieces(&tables.valid.all[_i]);
	expect_same_byte_by_byte(&tables.valid.all[_i]);
}
END_TEST

START_TEST(a_request_cut_at_any_byte_is_incomplete)
{
	const struct one_case *const one = &tables.valid.all[_i];
	struct stream stream;

	for (size_t cut = 1; cut < one->length; cut = tables_next_cut(cut, one->length)) {
		stream_start(&stream, &limits);
		const enum pfi_verdict verdict =
			stream_feed(&stream, tables_put(one->bytes, cut), cut);
		ck_assert_msg(verdict == PFI_MORE || (int)stream.requests < one->number,
		              "%s, cut at %zu: verdict %d", one->name, cut, verdict);
	}
}
END_TEST

START_TEST(the_tables_are_complete_and_have_no_row_twice)
{
	tables_expect(150, 40, false);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("violations");
	TCase *const tc = new_case(suite, "tables");

	tables_open(TABLES "/violations.txt", TABLES "/oddities.txt");
	tcase_add_test(tc, the_tables_are_complete_and_have_no_row_twice);
	tcase_add_loop_test(tc, a_violation_is_refused_with_its_status, 0, tables.violations.count);
	tcase_add_loop_test(tc, pieces_do_not_change_the_verdict_on_a_violation, 0, tables.violations.count);
	tcase_add_loop_test(tc, an_oddity_is_accepted, 0, tables.valid.count);
	tcase_add_loop_test(tc, pieces_do_not_change_the_verdict_on_an_oddity, 0, tables.valid.count);
	tcase_add_loop_test(tc, a_request_cut_at_any_byte_is_incomplete, 0, tables.valid.count);
	return tables_run(suite);
}
