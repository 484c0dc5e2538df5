/*
 * suite -- main() of the Check tests.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Returns the exit status of the program. Frees `suite`. No test at all is a failure: CK_RUN_CASE names no case. */
static inline int run_suite_with(Suite *suite, enum fork_status fork_status)
{
	SRunner *const runner = srunner_create(suite);

	if (fork_status != CK_FORK_GETENV)
		srunner_set_fork_status(runner, fork_status);
	srunner_run_all(runner, CK_ENV);
	const int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
	srunner_free(runner);
	return failed || run == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* CK_FORK decides whether each test has its own process: the default. */
static inline int run_suite(Suite *suite)
{
	return run_suite_with(suite, CK_FORK_GETENV);
}

/* All tests in this process. */
static inline int run_suite_in_process(Suite *suite)
{
	return run_suite_with(suite, CK_NOFORK);
}

#endif
