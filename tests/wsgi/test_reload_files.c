/* What --reload watches, and what it sees: scans of a temporary directory. */
#include "reload_files.h"

#include "../suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char top[64];
static size_t directories_max = 4096;

static const char *below(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *const path = paths[next++ % 4];

	(void)snprintf(path, sizeof paths[0], "%s/%s", top, name);
	return path;
}

static void make_file(const char *name, const char *text)
{
	FILE *const file = fopen(below(name), "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void make_directory(const char *name)
{
	ck_assert_int_eq(mkdir(below(name), 0700), 0);
}

static void make_link(const char *target, const char *name)
{
	ck_assert_int_eq(symlink(target, below(name)), 0);
}

/* tree/ is watched, outside/ is not; the page has a pattern. */
static void set_up(void)
{
	(void)snprintf(top, sizeof top, "/tmp/prefork-reload-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	make_directory("tree");
	make_directory("tree/package");
	make_directory("outside");
	make_file("tree/app.py", "1");
	make_file("tree/package/part.py", "1");
	make_file("tree/notes.txt", "1");
	make_file("outside/linked.py", "1");
	make_file("outside/page.html", "1");
}

static void tear_down(void)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -rf %s", top);
	ck_assert_int_eq(system(command), 0);
}

/* With the directory tree/ and one pattern below `base`; NULL: none. */
static struct wsgi_reload_scan *scan_below(const char *base, const char *pattern)
{
	char tree[512];
	const char *const trees[] = { tree };
	const struct wsgi_reload_item item = { base, pattern };
	const struct wsgi_reload_places places = { trees, 1, &item, pattern != NULL, directories_max };
	struct wsgi_reload_scan *result = NULL;

	(void)snprintf(tree, sizeof tree, "%s", below("tree"));
	ck_assert_int_eq(wsgi_reload_scan_create(&places, &result), 0);
	return result;
}

static struct wsgi_reload_scan *scan(const char *pattern)
{
	return scan_below(top, pattern);
}

/* By whatever path. */
static bool watches(const struct wsgi_reload_scan *self, const char *name)
{
	struct stat wanted, about;
	const char *path;

	ck_assert_int_eq(stat(below(name), &wanted), 0);
	for (size_t i = 0; (path = wsgi_reload_scan_directory(self, i)); i++) {
		if (stat(path, &about) == 0 && about.st_ino == wanted.st_ino && about.st_dev == wanted.st_dev)
			return true;
	}
	return false;
}

static void write_again(void)
{
	make_file("tree/app.py", "22");
}

/* As editors save: a new file takes the place of the old one. Size and time are those of the old one. */
static void rename_over(void)
{
	struct stat about;

	ck_assert_int_eq(stat(below("tree/app.py"), &about), 0);
	make_file("outside/new", "1");
	ck_assert_int_eq(utimensat(AT_FDCWD, below("outside/new"), (struct timespec[]){ about.st_atim, about.st_mtim }, 0), 0);
	ck_assert_int_eq(rename(below("outside/new"), below("tree/app.py")), 0);
}

static void delete(void)
{
	ck_assert_int_eq(unlink(below("tree/package/part.py")), 0);
}

static void add(void)
{
	make_file("tree/package/second.py", "1");
}

static void add_deep(void)
{
	make_directory("tree/package/deep");
	make_file("tree/package/deep/third.py", "1");
}

static void rename_directory(void)
{
	ck_assert_int_eq(rename(below("tree/package"), below("tree/parcel")), 0);
}

static void link_file(void)
{
	make_link("../outside/linked.py", "tree/linked.py");
}

static void link_directory(void)
{
	make_link("../outside", "tree/more");
}

static void match_later(void)
{
	make_file("outside/other.html", "1");
}

static void change_page(void)
{
	make_file("outside/page.html", "22");
}

static void match_deep(void)
{
	make_directory("outside/a");
	make_directory("outside/a/b");
	make_file("outside/a/b/late.html", "1");
}

static void nothing(void)
{
}

static void of_no_interest(void)
{
	make_file("tree/notes.txt", "22");
	make_file("tree/.hidden.py", "1");
	make_file("outside/linked.py", "22");
	make_directory("tree/__pycache__");
	make_file("tree/__pycache__/app.py", "1");
	make_directory("tree/.git");
	make_file("tree/.git/x.py", "1");
	make_directory("tree/venv");
	make_file("tree/venv/pyvenv.cfg", "");
	make_file("tree/venv/x.py", "1");
	make_directory("tree/node_modules");
	make_file("tree/node_modules/page.html", "1");
	make_file("tree/venv/page.html", "1");
}

static const struct change {
	void (*act)(void);
	const char *pattern;
	const char *seen; /* NULL: nothing */
} changes[] = {
	{ nothing, NULL, NULL },
	{ nothing, "outside/**/*.html", NULL },
	{ of_no_interest, NULL, NULL },
	{ of_no_interest, "outside/*.html", NULL },
	{ of_no_interest, "tree/**/*.html", NULL },
	{ of_no_interest, "tree/**/node_modules/*.html", "tree/node_modules/page.html" },
	{ write_again, NULL, "tree/app.py" },
	{ rename_over, NULL, "tree/app.py" },
	{ delete, NULL, "tree/package/part.py" },
	{ add, NULL, "tree/package/second.py" },
	{ add_deep, NULL, "tree/package/deep/third.py" },
	{ rename_directory, NULL, "tree/package/part.py" },
	{ link_file, NULL, "tree/linked.py" },
	{ link_directory, NULL, "tree/more/linked.py" },
	{ change_page, NULL, NULL },
	{ change_page, "outside/page.html", "outside/page.html" },
	{ change_page, "out*/p?ge.[h]tml", "outside/page.html" },
	{ match_later, "outside/page.html", NULL },
	{ match_later, "outside/other.html", "outside/other.html" },
	{ match_later, "outside/*.html", "outside/other.html" },
	{ match_deep, "outside/*.html", NULL },
	{ match_deep, "outside/**/*.html", "outside/a/b/late.html" },
	{ match_deep, "outside/*/b/*", "outside/a/b/late.html" },
	{ match_deep, "outside/**", "outside/a" },
	{ match_deep, "outside/**/**/late.html", "outside/a/b/late.html" },
};

START_TEST(a_change_is_seen_if_it_is_of_interest)
{
	const struct change *const change = &changes[_i];
	struct wsgi_reload_scan *const before = scan(change->pattern);
	struct wsgi_reload_scan *after;

	change->act();
	after = scan(change->pattern);
	if (change->seen)
		ck_assert_pstr_eq(wsgi_reload_scan_difference(before, after), below(change->seen));
	else
		ck_assert_pstr_eq(wsgi_reload_scan_difference(before, after), NULL);
	wsgi_reload_scan_destroy(before);
	wsgi_reload_scan_destroy(after);
}
END_TEST

START_TEST(the_directories_of_a_scan_are_those_that_can_change_it)
{
	static const struct {
		const char *pattern, *directory;
		bool is_watched;
	} rows[] = {
		{ NULL, "tree", true },
		{ NULL, "tree/package", true },
		{ NULL, "outside", false },
		{ "outside/page.html", "outside", true },
		{ "outside/*.html", "outside", true },
		{ "missing/deep/*.html", "", true },
		{ NULL, "", false },
		{ "outside/missing/page.html", "outside", true },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wsgi_reload_scan *const one = scan(rows[i].pattern);

		ck_assert_msg(watches(one, rows[i].directory) == rows[i].is_watched, "%s: %s", rows[i].pattern, rows[i].directory);
		wsgi_reload_scan_destroy(one);
	}
}
END_TEST

START_TEST(a_link_is_watched_where_it_is_and_where_it_leads)
{
	make_directory("releases");
	make_directory("releases/one");
	make_file("releases/one/page.html", "1");
	make_link("releases/one", "current");
	make_link("../current/page.html", "outside/linked.html");

	struct wsgi_reload_scan *const one = scan("outside/linked.html");

	ck_assert(watches(one, "outside"));
	ck_assert(watches(one, "releases/one"));
	ck_assert(wsgi_reload_scan_concerns(one, "linked.html"));
	ck_assert(wsgi_reload_scan_concerns(one, "current"));
	ck_assert(wsgi_reload_scan_concerns(one, "page.html"));
	ck_assert(!wsgi_reload_scan_concerns(one, "other.html"));

	make_directory("releases/two");
	make_file("releases/two/page.html", "1");
	make_link("releases/two", "next");
	ck_assert_int_eq(rename(below("next"), below("current")), 0);

	struct wsgi_reload_scan *const two = scan("outside/linked.html");

	ck_assert_pstr_eq(wsgi_reload_scan_difference(one, two), below("outside/linked.html"));
	ck_assert(watches(two, "releases/two"));
	wsgi_reload_scan_destroy(one);
	wsgi_reload_scan_destroy(two);
}
END_TEST

static size_t count_directories(const struct wsgi_reload_scan *self)
{
	size_t count = 0;

	while (wsgi_reload_scan_directory(self, count))
		count++;
	return count;
}

/* A list that grows with each file takes time for each pair of files. */
START_TEST(files_that_match_add_no_directories)
{
	char name[64];
	struct wsgi_reload_scan *one, *two;

	one = scan("outside/**/*.html");
	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof name, "outside/page%d.html", i);
		make_file(name, "1");
		(void)snprintf(name, sizeof name, "outside/link%d.html", i);
		make_link("page1.html", name);
	}
	two = scan("outside/**/*.html");
	ck_assert_uint_eq(count_directories(two), count_directories(one));
	ck_assert(wsgi_reload_scan_concerns(two, "link99.html"));
	wsgi_reload_scan_destroy(one);
	wsgi_reload_scan_destroy(two);
	one = scan("outside/*.html");
	two = scan("outside/*/page.html");
	ck_assert_uint_eq(count_directories(two), count_directories(one));
	wsgi_reload_scan_destroy(one);
	wsgi_reload_scan_destroy(two);
}
END_TEST

/* base and pattern; whether the edit of outside/[id]/[x].html is seen, and of outside/i/x.html. */
START_TEST(names_with_wildcards_are_names_unless_the_setting_has_a_pattern)
{
	static const struct {
		const char *base, *pattern;
		bool sees_brackets, sees_match;
	} rows[] = {
		{ "outside/[id]", "*.html", true, false },
		{ "outside/[id]", "[x].html", true, false },
		{ "outside/[id]/[x].html", "", true, false },
		{ "outside", "[id]/*.html", true, true },
		{ "outside", "[id]/[x].html", true, true },
		{ "outside/i", "[x].html", false, true },
		{ "outside/i", "x.html", false, true },
		{ "outside/i/x.html", "", false, true },
		{ "outside/?", "*", false, false },
	};
	static const char *const files[] = { "outside/[id]/[x].html", "outside/i/x.html" };

	make_directory("outside/[id]");
	make_directory("outside/i");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (size_t j = 0; j < 2; j++) {
			char base[512];
			struct wsgi_reload_scan *before, *after;
			const bool is_seen = j == 0 ? rows[i].sees_brackets : rows[i].sees_match;

			(void)snprintf(base, sizeof base, "%s", below(rows[i].base));
			(void)unlink(below(files[j]));
			before = scan_below(base, rows[i].pattern);
			ck_assert_msg(wsgi_reload_scan_concerns(before, strrchr(files[j], '/') + 1) || !is_seen, "row %zu: %s", i, files[j]);
			make_file(files[j], "1");
			after = scan_below(base, rows[i].pattern);
			ck_assert_msg((wsgi_reload_scan_difference(before, after) != NULL) == is_seen, "row %zu: %s", i, files[j]);
			wsgi_reload_scan_destroy(before);
			wsgi_reload_scan_destroy(after);
		}
	}
}
END_TEST

START_TEST(links_in_a_circle_end)
{
	make_link(".", "tree/self");
	make_link("../tree", "tree/package/up");
	make_link("dangling.py", "tree/dangling.py");
	make_link("b", "outside/a");
	make_link("a", "outside/b");

	struct wsgi_reload_scan *const one = scan("outside/a");
	struct wsgi_reload_scan *const two = scan("outside/a");

	ck_assert_pstr_eq(wsgi_reload_scan_difference(one, two), NULL);
	wsgi_reload_scan_destroy(one);
	wsgi_reload_scan_destroy(two);
}
END_TEST

START_TEST(names_of_code_and_of_patterns_are_of_interest)
{
	static const struct {
		const char *name;
		bool is_of_interest;
	} rows[] = { { "app.py", true }, { ".app.py", false }, { ".app.py.swp", false }, { "app.pyc", false }, { ".py", false },
		     { "x.html", true }, { ".x.html", false }, { "html", false } };
	struct wsgi_reload_scan *const one = scan("outside/*.html");

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(wsgi_reload_scan_concerns(one, rows[i].name) == rows[i].is_of_interest, "%s", rows[i].name);
	wsgi_reload_scan_destroy(one);
}
END_TEST

/* More than the set of visited directories holds at first, and deeper than descriptors should be open at a time. */
START_TEST(a_large_tree_is_scanned_and_a_deep_one_up_to_a_limit)
{
	char name[512] = "tree", number[32];
	struct wsgi_reload_scan *before, *after;

	for (int i = 0; i < 400; i++) {
		(void)snprintf(number, sizeof number, "tree/d%d", i);
		make_directory(number);
	}
	before = scan(NULL);
	make_file("tree/d399/x.py", "1");
	after = scan(NULL);
	ck_assert_pstr_eq(wsgi_reload_scan_difference(before, after), below("tree/d399/x.py"));
	wsgi_reload_scan_destroy(before);
	for (int i = 0; i < 40; i++) {
		(void)strcat(name, "/e");
		make_directory(name);
	}
	(void)strcat(name, "/x.py");
	make_file(name, "1");
	before = after;
	after = scan(NULL);
	ck_assert_pstr_eq(wsgi_reload_scan_difference(before, after), NULL);
	wsgi_reload_scan_destroy(before);
	wsgi_reload_scan_destroy(after);
}
END_TEST

static bool is_after(const struct stat *one, const struct stat *other)
{
	return one->st_ctim.tv_sec > other->st_ctim.tv_sec ||
	       (one->st_ctim.tv_sec == other->st_ctim.tv_sec && one->st_ctim.tv_nsec > other->st_ctim.tv_nsec);
}

/* A time between two files, and that of a directory that has the later one. */
START_TEST(a_file_is_newer_than_a_time_if_it_was_written_or_replaced_later)
{
	struct stat about, later = { 0 };
	struct wsgi_reload_scan *one;

	ck_assert_int_eq(stat(below("outside/page.html"), &about), 0);
	while (!is_after(&later, &about)) {
		make_file("outside/new", "1"); /* until the clock of the file system has advanced */
		ck_assert_int_eq(utimensat(AT_FDCWD, below("outside/new"), (struct timespec[]){ { 1, 0 }, { 1, 0 } }, 0), 0);
		ck_assert_int_eq(stat(below("outside/new"), &later), 0);
	}
	one = scan("outside/page.html");
	ck_assert_pstr_eq(wsgi_reload_scan_newer(one, &about.st_ctim), NULL);
	wsgi_reload_scan_destroy(one);
	one = scan("out*");
	ck_assert_pstr_eq(wsgi_reload_scan_newer(one, &about.st_ctim), NULL);
	wsgi_reload_scan_destroy(one);
	one = scan("outside/*");
	ck_assert_pstr_eq(wsgi_reload_scan_newer(one, &about.st_ctim), below("outside/new"));
	ck_assert_pstr_eq(wsgi_reload_scan_newer(one, &later.st_ctim), NULL);
	wsgi_reload_scan_destroy(one);
}
END_TEST

START_TEST(a_link_is_newer_than_a_time_if_it_was_replaced_later)
{
	struct stat about, later = { 0 };
	struct wsgi_reload_scan *one;

	make_directory("releases");
	make_directory("releases/two");
	make_file("releases/two/page.html", "1");
	make_link("../current/page.html", "outside/linked.html");
	ck_assert_int_eq(lstat(below("outside/linked.html"), &about), 0);
	while (!is_after(&later, &about)) { /* until the clock of the file system has advanced */
		make_link("releases/two", "next");
		ck_assert_int_eq(rename(below("next"), below("current")), 0);
		ck_assert_int_eq(lstat(below("current"), &later), 0);
	}
	one = scan("outside/linked.html");
	ck_assert_pstr_eq(wsgi_reload_scan_newer(one, &about.st_ctim), below("outside/../current"));
	ck_assert_pstr_eq(wsgi_reload_scan_newer(one, &later.st_ctim), NULL);
	wsgi_reload_scan_destroy(one);
}
END_TEST

/* Files that are named and trees have precedence over what links lead to. What is left out at the limit is no change. */
START_TEST(a_link_to_a_large_tree_is_walked_up_to_a_limit)
{
	char name[64];
	struct wsgi_reload_scan *before, *after;

	directories_max = 40;
	make_directory("large");
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof name, "large/d%d", i);
		make_directory(name);
		(void)snprintf(name, sizeof name, "large/d%d/x.py", i);
		make_file(name, "1");
	}
	before = scan("outside/page.html");
	ck_assert(!wsgi_reload_scan_is_limited(before));
	wsgi_reload_scan_destroy(before);
	make_link("../large", "tree/a");
	make_link("..", "large/top");
	before = scan("outside/page.html");
	ck_assert(wsgi_reload_scan_is_limited(before));
	ck_assert_uint_eq(count_directories(before), directories_max);
	ck_assert(watches(before, "tree/package"));
	ck_assert(watches(before, "outside"));
	make_directory("large/first"); /* it may displace another */
	after = scan("outside/page.html");
	ck_assert_pstr_eq(wsgi_reload_scan_difference(before, after), NULL);
	wsgi_reload_scan_destroy(before);
	make_file("outside/page.html", "22");
	before = after;
	after = scan("outside/page.html");
	ck_assert_pstr_eq(wsgi_reload_scan_difference(before, after), below("outside/page.html"));
	wsgi_reload_scan_destroy(before);
	make_file("tree/package/new.py", "1");
	before = after;
	after = scan("outside/page.html");
	ck_assert_pstr_eq(wsgi_reload_scan_difference(before, after), below("tree/package/new.py"));
	wsgi_reload_scan_destroy(before);
	wsgi_reload_scan_destroy(after);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reload_files");
	TCase *tcase = tcase_create("reload_files");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, a_change_is_seen_if_it_is_of_interest, 0, (int)(sizeof changes / sizeof changes[0]));
	tcase_add_test(tcase, the_directories_of_a_scan_are_those_that_can_change_it);
	tcase_add_test(tcase, a_link_is_watched_where_it_is_and_where_it_leads);
	tcase_add_test(tcase, files_that_match_add_no_directories);
	tcase_add_test(tcase, names_with_wildcards_are_names_unless_the_setting_has_a_pattern);
	tcase_add_test(tcase, links_in_a_circle_end);
	tcase_add_test(tcase, names_of_code_and_of_patterns_are_of_interest);
	tcase_add_test(tcase, a_large_tree_is_scanned_and_a_deep_one_up_to_a_limit);
	tcase_add_test(tcase, a_link_to_a_large_tree_is_walked_up_to_a_limit);
	tcase_add_test(tcase, a_file_is_newer_than_a_time_if_it_was_written_or_replaced_later);
	tcase_add_test(tcase, a_link_is_newer_than_a_time_if_it_was_replaced_later);
	tcase_set_timeout(tcase, 20); /* on a loaded machine */
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
