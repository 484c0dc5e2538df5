/*
 * suspend_app -- the service of test_suspend.c. The path of a request says what happens to it:
 *
 *     /answer /write /large   suspended; a thread of the application responds, and resumes it
 *     /resume /rounds         suspended; that thread resumes it; `resumed` responds, or suspends it again
 *     /hold /begin            suspended until /release or drain_begin; /begin has a part of its response
 *     /pull                   its pull callback suspends it twice
 *     /misuse /ended /fail    wrong calls, whose errors the service checks
 *     /full                   there is no descriptor to suspend it
 *     /early                  the thread writes until sending fails, and resumes it before the handler returns
 *     /gone                   the handler waits until the client has left
 *
 * A check that does not hold aborts the worker, so that the test sees its exit status.
 */
#ifndef TESTS_SUSPEND_APP_H
#define TESTS_SUSPEND_APP_H

#include "web.h"

#include <stdbool.h>

enum { SUSPEND_APP_ROUNDS = 2000, SUSPEND_APP_LARGE = 6 * 1024 * 1024 };

/* Indexes of web_counts.noted. */
enum { SUSPENDED, RESUMED, GONE, DRAIN_BEGIN, ABANDONED, LAST_ERROR, PENDING, RESUMED_BEFORE_RETURN };

extern const struct prefork_http_service suspend_app;

/* Set before the worker starts: client_gone resumes a request that is held; drain_begin answers and resumes all. */
extern bool suspend_app_resumes_gone, suspend_app_resumes_drained;

#endif
