/* When the reloader of --reload scans again, and when it requests a reload. */
#include "reload_pace.h"

#include "../suite.h"

/* Each row is a scan that ended at 10000 ms. */
static const struct {
	const char *name;
	int64_t scan_ms, changed_ms;
	bool is_equal, polls;
	bool reloads;
	int64_t due_ms;
} rows[] = {
	{ "nothing has changed", 1, 0, true, false, false, 0 },
	{ "nothing has changed, poll", 1, 0, true, true, false, 11000 },
	{ "a scan of 100 ms, poll", 100, 0, true, true, false, 11000 },
	{ "a scan of 101 ms, poll", 101, 0, true, true, false, 11010 },
	{ "a scan of 3 s, poll", 3000, 0, true, true, false, 40000 },
	{ "a first change", 1, 10000, false, false, false, 10050 },
	{ "a first change, poll", 1, 10000, false, true, false, 10050 },
	{ "a first change in a scan of 3 s", 3000, 10000, false, false, false, 13000 },
	{ "no further change", 1, 9950, true, false, true, 0 },
	{ "no further change, poll", 1, 9950, true, true, true, 11000 },
	{ "a change in each scan for less than 2 s", 1, 8001, false, false, false, 10050 },
	{ "a change in each scan for 2 s", 1, 8000, false, false, true, 10050 },
	{ "a change in each scan for 2 s, poll", 1, 8000, false, true, true, 10050 },
	{ "no further change after a slow scan", 4000, 6000, true, false, true, 0 },
};

START_TEST(a_scan_decides_about_a_reload_and_the_next_scan)
{
	const struct wsgi_reload_scanned scanned = {
		.now_ms = 10000, .scan_ms = rows[_i].scan_ms, .changed_ms = rows[_i].changed_ms,
		.is_equal = rows[_i].is_equal, .polls = rows[_i].polls,
	};
	const struct wsgi_reload_next next = wsgi_reload_pace(&scanned);

	ck_assert_msg(next.reloads == rows[_i].reloads, "%s: reload", rows[_i].name);
	ck_assert_msg(next.due_ms == rows[_i].due_ms, "%s: the next scan is at %lld ms", rows[_i].name, (long long)next.due_ms);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reload_pace");
	TCase *tcase = tcase_create("reload_pace");

	tcase_add_loop_test(tcase, a_scan_decides_about_a_reload_and_the_next_scan, 0, (int)(sizeof rows / sizeof rows[0]));
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
