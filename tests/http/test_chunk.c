#include "http/body.h"

#include "../support.h"
#include "guard.h"

#include <stdlib.h>
#include <string.h>

static const struct pfi_limits limits = PFI_LIMITS_DEFAULT;
static struct guard guard;

static const struct {
	const char *bytes;
	const char *data;
	size_t rest; /* what must be left unread */
} bodies[] = {
	{ "0\r\n\r\n", "", 0 },
	{ "5\r\nhello\r\n0\r\n\r\n", "hello", 0 },
	{ "1\r\na\r\n02\r\nbc\r\n0;x\r\nA: b\r\n\r\nGET", "abc", 3 },
	{ "A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0 },
	{ "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0 },
};

/* The data is complete, wherever the input is split. */
START_TEST(data_is_read_from_a_chunked_body_in_any_pieces)
{
	const char *const bytes = bodies[_i].bytes;
	const size_t length = strlen(bytes);

	for (size_t step = 1; step <= length; step++) {
		struct pfi_chunk chunk;
		enum pfi_verdict verdict = PFI_MORE;
		char data[64];
		size_t got = 0, at = 0;

		pfi_chunk_start(&chunk, &limits);
		while (verdict == PFI_MORE && at < length) {
			const size_t shown = length - at < step ? length - at : step;
			const char *const put = guard_put(&guard, bytes + at, shown);
			struct pfi_span span;
			size_t used = 0;
			verdict = pfi_chunk_feed(&chunk, put, shown, &used, &span);
			ck_assert_uint_le(used, shown);
			memcpy(data + got, put + span.at, span.length);
			got += span.length;
			at += used;
		}
		ck_assert_int_eq(verdict, PFI_DONE);
		ck_assert_uint_eq(length - at, bodies[_i].rest);
		ck_assert_uint_eq(got, strlen(bodies[_i].data));
		ck_assert_int_eq(memcmp(data, bodies[_i].data, got), 0);
	}
}
END_TEST

START_TEST(an_invalid_chunk_stays_invalid)
{
	struct pfi_chunk chunk;
	struct pfi_span span;
	size_t used;

	pfi_chunk_start(&chunk, &limits);
	ck_assert_int_eq(pfi_chunk_feed(&chunk, "x", 1, &used, &span), PFI_BAD);
	ck_assert_uint_eq(chunk.http_error.status, 400);
	ck_assert_int_eq(pfi_chunk_feed(&chunk, "0\r\n\r\n", 5, &used, &span), PFI_BAD);
	ck_assert_uint_eq(used, 0);
}
END_TEST

/* A caller can read large data without the parser, and then calls pfi_chunk_skip(). */
START_TEST(a_caller_may_skip_data)
{
	struct pfi_framing framing = { .body = PFI_BODY_CHUNKED };
	struct pfi_body body;
	struct pfi_span span;
	size_t used;

	ck_assert_int_eq(pfi_body_start(&body, &framing, &limits), PFI_MORE);
	ck_assert_uint_eq(pfi_body_contiguous(&body), 0);
	ck_assert_int_eq(pfi_body_feed(&body, "100\r\nxx", 7, &used, &span), PFI_MORE);
	ck_assert_uint_eq(span.length, 2);
	ck_assert_uint_eq(pfi_body_contiguous(&body), 254);
	ck_assert_int_eq(pfi_body_skip(&body, 254), PFI_MORE);
	ck_assert_uint_eq(pfi_body_contiguous(&body), 0);
	ck_assert_int_eq(pfi_body_feed(&body, "\r\n0\r\n\r\n", 7, &used, &span), PFI_DONE);

	framing = (struct pfi_framing){ .body = PFI_BODY_LENGTH, .length = 10 };
	ck_assert_int_eq(pfi_body_start(&body, &framing, &limits), PFI_MORE);
	ck_assert_int_eq(pfi_body_feed(&body, "hello", 5, &used, &span), PFI_MORE);
	ck_assert_uint_eq(pfi_body_contiguous(&body), 5);
	ck_assert_int_eq(pfi_body_skip(&body, 4), PFI_MORE);
	ck_assert_int_eq(pfi_body_feed(&body, "xGET", 4, &used, &span), PFI_DONE);
	ck_assert_uint_eq(used, 1);
	ck_assert_uint_eq(pfi_body_contiguous(&body), 0);
}
END_TEST

START_TEST(a_request_without_a_body_is_complete)
{
	const struct pfi_framing framing = { .body = PFI_BODY_NONE };
	struct pfi_body body;

	ck_assert_int_eq(pfi_body_start(&body, &framing, &limits), PFI_DONE);
	ck_assert_uint_eq(pfi_body_contiguous(&body), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chunk");
	TCase *tc = new_case(suite, "chunk");

	guard_open(&guard, 4096);
	tcase_add_loop_test(tc, data_is_read_from_a_chunked_body_in_any_pieces, 0, (int)(sizeof bodies / sizeof bodies[0]));
	tcase_add_test(tc, an_invalid_chunk_stays_invalid);
	tcase_add_test(tc, a_caller_may_skip_data);
	tcase_add_test(tc, a_request_without_a_body_is_complete);
	const int status = run_suite(suite);
	guard_close(&guard);
	return status;
}
