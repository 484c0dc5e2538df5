/* The tables, held against the parsers alone; over sockets they run again. */
#include "cases.h"
#include "guard.h"
#include "stream.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct cases violations;
static struct cases oddities;
static const struct pfi_limits limits = { .line_max = 4094, .field_max = 8190, .fields_max = 100,
	                                  .head_max = 65536, .body_max = 1048576 };

/* Every input below ends at a guard page: reading one byte too far crashes. */
static struct guard guard;

static struct stream whole(const struct one_case *one, enum pfi_verdict *verdict)
{
	struct stream stream;

	stream_start(&stream, &limits);
	*verdict = stream_feed(&stream, guard_put(&guard, one->bytes, one->length), one->length);
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

/* Long cases are long by repetition: every cut near their ends, and some between. */
static size_t next_cut(size_t cut, size_t length)
{
	return cut < 600 || cut + 300 > length ? cut + 1 : cut + 61;
}

static void in_two_pieces(const struct one_case *one)
{
	enum pfi_verdict expected_verdict;
	const struct stream expected = whole(one, &expected_verdict);

	for (size_t cut = 0; cut <= one->length; cut = next_cut(cut, one->length)) {
		struct stream stream;
		stream_start(&stream, &limits);
		enum pfi_verdict verdict = stream_feed(&stream, guard_put(&guard, one->bytes, cut), cut);
		if (verdict != PFI_BAD)
			verdict = stream_feed(&stream, guard_put(&guard, one->bytes, one->length), one->length);
		expect_same(one, &stream, &expected, verdict, expected_verdict, cut);
	}
}

static void byte_by_byte(const struct one_case *one)
{
	enum pfi_verdict expected_verdict;
	const struct stream expected = whole(one, &expected_verdict);
	struct stream stream;
	enum pfi_verdict verdict = PFI_DONE;

	stream_start(&stream, &limits);
	for (size_t end = 0; end <= one->length && verdict != PFI_BAD; end = next_cut(end, one->length))
		verdict = stream_feed(&stream, guard_put(&guard, one->bytes, end), end);
	expect_same(one, &stream, &expected, verdict, expected_verdict, 1);
}

START_TEST(a_violation_is_refused_with_its_status)
{
	const struct one_case *const one = &violations.all[_i];
	enum pfi_verdict verdict;
	const struct stream stream = whole(one, &verdict);

	ck_assert_msg(verdict == PFI_BAD && stream.http_error.status == one->number,
	              "%s (%s): verdict %d, status %u instead of %d", one->name, one->reference, verdict,
	              stream.http_error.status, one->number);
	ck_assert_msg(stream.http_error.detail != NULL && stream.requests == 0, "%s", one->name);
}
END_TEST

START_TEST(no_cut_changes_the_verdict_on_a_violation)
{
	in_two_pieces(&violations.all[_i]);
	byte_by_byte(&violations.all[_i]);
}
END_TEST

START_TEST(an_oddity_is_accepted)
{
	const struct one_case *const one = &oddities.all[_i];
	enum pfi_verdict verdict;
	const struct stream stream = whole(one, &verdict);

	ck_assert_msg(verdict == PFI_DONE && (int)stream.requests == one->number && stream.at == one->length,
	              "%s (%s): verdict %d, %u: %s; %u requests", one->name, one->reference, verdict,
	              stream.http_error.status, stream.http_error.detail, stream.requests);
}
END_TEST

START_TEST(no_cut_changes_the_verdict_on_an_oddity)
{
	in_two_pieces(&oddities.all[_i]);
	byte_by_byte(&oddities.all[_i]);
}
END_TEST

/* Not one of them may be right as long as it is not complete. */
START_TEST(half_a_request_is_not_a_request)
{
	const struct one_case *const one = &oddities.all[_i];
	struct stream stream;

	for (size_t cut = 1; cut < one->length; cut = next_cut(cut, one->length)) {
		stream_start(&stream, &limits);
		const enum pfi_verdict verdict =
			stream_feed(&stream, guard_put(&guard, one->bytes, cut), cut);
		ck_assert_msg(verdict == PFI_MORE || (int)stream.requests < one->number,
		              "%s, cut at %zu: verdict %d", one->name, cut, verdict);
	}
}
END_TEST

START_TEST(the_tables_are_as_long_as_promised)
{
	ck_assert_int_ge(violations.count, 150);
	ck_assert_int_ge(oddities.count, 40);
	for (int i = 0; i < violations.count; i++)
		for (int j = 0; j < i; j++)
			ck_assert_msg(violations.all[i].length != violations.all[j].length ||
			              memcmp(violations.all[i].bytes, violations.all[j].bytes,
			                     violations.all[i].length) != 0,
			              "%s is there twice", violations.all[i].name);
}
END_TEST

int main(void)
{
	violations = read_cases(TABLES "/violations.txt");
	oddities = read_cases(TABLES "/oddities.txt");
	guard_open(&guard, 1 << 20);

	Suite *suite = suite_create("violations");
	TCase *tc = tcase_create("tables");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_tables_are_as_long_as_promised);
	tcase_add_loop_test(tc, a_violation_is_refused_with_its_status, 0, violations.count);
	tcase_add_loop_test(tc, no_cut_changes_the_verdict_on_a_violation, 0, violations.count);
	tcase_add_loop_test(tc, an_oddity_is_accepted, 0, oddities.count);
	tcase_add_loop_test(tc, no_cut_changes_the_verdict_on_an_oddity, 0, oddities.count);
	tcase_add_loop_test(tc, half_a_request_is_not_a_request, 0, oddities.count);
	suite_add_tcase(suite, tc);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	const int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	guard_close(&guard);
	free_cases(&violations);
	free_cases(&oddities);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
