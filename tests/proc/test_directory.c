/* The name of the working directory at the start of an arbiter. */
#include "host.h"

#include "../support.h"

static int error; /* 0: as in the library */

char *__real_pfi_path_working_directory(void);
char *__wrap_pfi_path_working_directory(void);

char *__wrap_pfi_path_working_directory(void)
{
	if (error == 0)
		return __real_pfi_path_working_directory();
	errno = error;
	return NULL;
}

START_TEST(a_start_without_memory_for_the_name_is_refused_and_can_be_repeated)
{
	static const char *const arguments[] = { "--bind", "127.0.0.1:0", NULL };

	host_create(arguments);
	error = ENOMEM;
	host_expect_refused(-ENOMEM, "working directory");
	error = 0;
	host_start();
	host_stop();
	host_close();
}
END_TEST

START_TEST(a_directory_without_a_name_is_accepted)
{
	static const char *const arguments[] = { "--bind", "127.0.0.1:0", NULL };

	host_create(arguments);
	error = ENOENT; /* it was removed */
	host_start();
	error = 0;
	host_stop();
	host_close();
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("directory");
	TCase *const tc = new_case(suite, "directory");

	tcase_add_test(tc, a_start_without_memory_for_the_name_is_refused_and_can_be_repeated);
	tcase_add_test(tc, a_directory_without_a_name_is_accepted);
	return run_suite(suite);
}
