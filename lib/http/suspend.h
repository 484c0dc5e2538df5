/*
 * suspend -- requests that are answered after their handler has returned.
 *
 *     handle      prefork_request_suspend()    run: SUSPENDING
 *     returns     pfi_suspend_begin()          run: SUSPENDED, and no thread of the library uses the request
 *     any thread  prefork_request_resume()     run: RESUMED, and the connection is resumed
 *     worker      pfi_suspend_end()            run: RUNS, and `resumed` is called
 *
 * Meanwhile the connection is watched (prefork_connection_watch()): the first thread finds that the client is gone, that
 * suspend_timeout has passed, or that the worker leaves. It may end the response of a request whose response is not
 * started (pfi_response_claim()), and nothing else.
 */
#ifndef HTTP_SUSPEND_H
#define HTTP_SUSPEND_H

#include "http/request.h"

#include <prefork/service.h>

/* A callback that may suspend the request begins. */
static inline void pfi_run_begin(struct prefork_request *request)
{
	atomic_store_explicit(&request->run, PFI_RUN_RUNS, memory_order_relaxed);
}

/* It has returned. False: it has suspended the request, and nothing has changed. */
static inline bool pfi_run_end(struct prefork_request *request)
{
	if (atomic_load_explicit(&request->run, memory_order_relaxed) != PFI_RUN_RUNS)
		return false;
	atomic_store_explicit(&request->run, PFI_RUN_RETURNED, memory_order_relaxed);
	return true;
}

static inline bool pfi_suspend_is_requested(const struct prefork_request *request)
{
	return atomic_load_explicit(&request->run, memory_order_relaxed) > PFI_RUN_RETURNED;
}

/* The request is suspended, and not resumed. */
static inline bool pfi_suspend_is_pending(const struct prefork_request *request)
{
	const uint8_t run = atomic_load(&request->run);

	return run == PFI_RUN_SUSPENDING || run == PFI_RUN_SUSPENDED;
}

/* The callback that has suspended the request has returned. Returns what the connection waits for: PREFORK_SUSPENDED,
 * and then the request must not be used; or the next call, because the request is resumed already. */
enum prefork_next pfi_suspend_begin(struct prefork_request *request);

/* What a resumed connection waits for: nothing, or that its output is sent, with a deadline. */
enum prefork_next pfi_suspend_next(struct prefork_request *request);

/* The request was resumed: it belongs to the caller. */
void pfi_suspend_end(struct prefork_request *request);

/* The worker leaves, and does not wait for this request. False: it has been resumed. `at_end`: it is abandoned all the
 * same, because no thread of the library takes it any more. */
bool pfi_suspend_abandon(struct prefork_request *request, bool at_end);

/* All suspended requests are abandoned: wait for threads that are resuming another. */
void pfi_suspend_await_resumers(struct pfi_http *http);

#endif
