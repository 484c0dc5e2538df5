/*
 * A title needs a process whose argv comes from the kernel: the test executes itself,
 * once per case.
 */
#include "os/title.h"

#include "../support.h"

#include <fcntl.h>
#include <stdio.h>

static char **own_argv;

static size_t read_command_line(char *text, size_t size)
{
	const int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	const ssize_t n = read(fd, text, size - 1);

	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

static bool shows(const char *title)
{
	char text[8192];

	return read_command_line(text, sizeof text) > 0 && strcmp(text, title) == 0;
}

static int show_a_title(int argc, char **argv)
{
	pfi_title_init(argc, argv);
	pfi_title_set("prefork: worker %d [%s] serving", 3, "shop");
	if (!shows("prefork: worker 3 [shop] serving"))
		return 1;
	pfi_title_set("short");
	if (!shows("short"))
		return 2;
	/* The strings of argv and environ are unchanged in their new location. */
	if (strcmp(argv[1], "show_a_title") != 0 || !getenv("TITLE_TEST") ||
	    strcmp(getenv("TITLE_TEST"), "kept") != 0 || !getenv("PATH"))
		return 3;
	if (setenv("TITLE_TEST", "changed", 1) != 0 || strcmp(getenv("TITLE_TEST"), "changed") != 0)
		return 4;
	return 0;
}

static int cut_a_long_title(int argc, char **argv)
{
	char text[8192];
	static char huge[1 << 20];

	pfi_title_init(argc, argv);
	memset(huge, 'x', sizeof huge - 1);
	pfi_title_set("%s", huge);
	if (read_command_line(text, sizeof text) == 0)
		return 1;
	const size_t length = strspn(text, "x");
	if (length < 20 || text[length] != 0)
		return 2;
	return strcmp(getenv("TITLE_TEST"), "kept") != 0;
}

static int refuse_a_foreign_argv(int argc, char **argv)
{
	char first[] = "one", second[] = "two";
	char *scattered[] = { second, first, NULL };
	char *const none[] = { NULL };

	(void)argc;
	pfi_title_init(0, NULL);
	pfi_title_init(0, (char **)none);
	pfi_title_init(2, scattered);
	pfi_title_set("not me");
	return shows("not me") || strcmp(argv[1], "refuse_a_foreign_argv") != 0;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} cases[] = {
	{ "show_a_title", show_a_title },
	{ "cut_a_long_title", cut_a_long_title },
	{ "refuse_a_foreign_argv", refuse_a_foreign_argv },
};

START_TEST(a_title_stays_within_its_buffer)
{
	int status = -1;
	char *const argv[] = { own_argv[0], (char *)(uintptr_t)cases[_i].name, NULL };
	const pid_t child = fork();

	if (child == 0) {
		setenv("TITLE_TEST", "kept", 1);
		execv("/proc/self/exe", argv);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof cases[0]; i++) {
		if (strcmp(argv[1], cases[i].name) == 0)
			return cases[i].run(argc, argv);
	}
	own_argv = argv;
	Suite *suite = suite_create("title");
	TCase *tc = new_case(suite, "title");

	tcase_add_loop_test(tc, a_title_stays_within_its_buffer, 0,
	                    (int)(sizeof cases / sizeof cases[0]));
	return run_suite(suite);
}
