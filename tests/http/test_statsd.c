/*
 * The text of metrics: names, values, and what fits into a datagram.
 */
#include "http/statsd_text.h"

#include "../support.h"

#include <errno.h>

static struct {
	char text[64 * 1024];
	size_t length, largest;
	unsigned count;
} sent;

static void on_datagram(void *user, const char *bytes, size_t size)
{
	(void)user;
	ck_assert_uint_lt(sent.length + size + 2, sizeof sent.text);
	memcpy(sent.text + sent.length, bytes, size);
	sent.length += size;
	sent.text[sent.length++] = '|'; /* the end of a datagram */
	sent.text[sent.length] = '\0';
	sent.largest = size > sent.largest ? size : sent.largest;
	sent.count++;
}

static struct pfi_statsd_words words;

static struct pfi_statsd_batch batch_of(const char *prefix, const char *tags, size_t max)
{
	sent.length = sent.count = 0;
	sent.largest = 0;
	ck_assert_int_eq(pfi_statsd_words_init(&words, prefix, "gunicorn", tags), 0);
	return (struct pfi_statsd_batch){ .max = max, .words = &words, .send = on_datagram };
}

static const struct {
	const char *prefix, *tags, *line;
} names[] = {
	{ NULL, NULL, "gunicorn.workers:0|g|" },
	{ "", NULL, "gunicorn.workers:0|g|" },
	{ "shop", NULL, "shop.gunicorn.workers:0|g|" },
	{ "shop.web...", NULL, "shop.web.gunicorn.workers:0|g|" },
	{ "...", "a:b,c", "gunicorn.workers:0|g|#a:b,c|" },
};

START_TEST(a_name_has_one_dot_after_its_prefix)
{
	struct pfi_statsd_batch batch = batch_of(names[_i].prefix, names[_i].tags, PFI_STATSD_UDP_MAX);

	pfi_statsd_add(&batch, "workers", 0, "g");
	pfi_statsd_flush(&batch);
	ck_assert_str_eq(sent.text, names[_i].line);
	pfi_statsd_flush(&batch);
	ck_assert_uint_eq(sent.count, 1); /* nothing is left */
}
END_TEST

START_TEST(durations_are_milliseconds)
{
	static const struct pfi_statsd_record records[] = { { 0, 200 }, { 7, 200 }, { 12345, 200 }, { UINT32_MAX, 200 } };
	struct pfi_statsd_batch batch = batch_of(NULL, NULL, PFI_STATSD_UDP_MAX);

	pfi_statsd_add_durations(&batch, records, 4);
	pfi_statsd_flush(&batch);
	ck_assert_str_eq(sent.text, "gunicorn.request.duration:0.000|ms\ngunicorn.request.duration:0.007|ms\n"
	                            "gunicorn.request.duration:12.345|ms\ngunicorn.request.duration:4294967.295|ms|");
}
END_TEST

/* Every size of a datagram, up to the last byte: a line is never split, and none is lost. */
START_TEST(a_datagram_is_filled_up_to_its_size)
{
	static const char line[] = "gunicorn.requests:1234567|c|#x:y";
	const size_t length = sizeof line - 1;

	for (size_t max = length; max <= 4 * length; max++) {
		struct pfi_statsd_batch batch = batch_of(NULL, "x:y", max);
		size_t lines = 0;

		for (int i = 0; i < 20; i++)
			pfi_statsd_add(&batch, "requests", 1234567, "c");
		pfi_statsd_flush(&batch);
		ck_assert_uint_le(sent.largest, max);
		ck_assert_uint_eq(sent.largest, (max + 1) / (length + 1) * (length + 1) - 1);
		for (const char *at = sent.text; (at = strstr(at, line)) != NULL; at += length)
			lines++;
		ck_assert_uint_eq(lines, 20);
	}
}
END_TEST

START_TEST(words_that_are_too_long_are_refused)
{
	char text[PFI_STATSD_TAGS_MAX + 1];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	ck_assert_int_eq(pfi_statsd_words_init(&words, NULL, "gunicorn", text), -EINVAL);
	ck_assert_int_eq(pfi_statsd_words_init(&words, text, "gunicorn", NULL), -EINVAL);
	text[PFI_STATSD_NAME_MAX - 12] = '\0';
	ck_assert_int_eq(pfi_statsd_words_init(&words, text, "gunicorn", text), 0);
	/* The longest line that this module makes still fits. */
	ck_assert_uint_lt(words.prefix_length + words.tags_length + 128, PFI_STATSD_UDP_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("statsd");
	TCase *tcase = tcase_create("statsd");

	tcase_add_loop_test(tcase, a_name_has_one_dot_after_its_prefix, 0, sizeof names / sizeof names[0]);
	tcase_add_test(tcase, durations_are_milliseconds);
	tcase_add_test(tcase, a_datagram_is_filled_up_to_its_size);
	tcase_add_test(tcase, words_that_are_too_long_are_refused);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
