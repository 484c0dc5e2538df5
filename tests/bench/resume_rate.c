/* An HTTP server whose requests are suspended and resumed again and again, by a thread that does nothing else. The
 * responses follow when all of them together were resumed as often as the first argument says; each has the number of
 * seconds. A resume that is lost is a response that is lost. */
#include <prefork/http.h>
#include <prefork/prefork.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 4096 };

static long total;
static _Atomic long resumed_count;
static _Atomic(struct prefork_request *) slots[SLOTS];
static _Atomic unsigned next_slot, handled;
static struct timespec began;

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9;
}

static int suspend(struct prefork_request *request)
{
	const int r = prefork_request_suspend(request);

	if (r == 0) /* the number of requests is far below that of the slots: it is free */
		atomic_store(&slots[atomic_fetch_add(&next_slot, 1) % SLOTS], request);
	return r;
}

static void *resume_all(void *unused)
{
	for (unsigned i = 0;; i = (i + 1) % SLOTS) {
		struct prefork_request *const request = atomic_load(&slots[i]) ? atomic_exchange(&slots[i], NULL) : NULL;

		if (request && prefork_request_resume(request) < 0)
			abort();
	}
	return unused;
}

static int respond(struct prefork_request *request)
{
	char text[64];
	const int size = snprintf(text, sizeof text, "%f", seconds());
	const int r = prefork_response_start(request, 200, NULL);

	return r < 0 ? r : prefork_response_bytes(request, text, (size_t)size);
}

static int handle(struct prefork_request *request, void *user)
{
	(void)user;
	if (strcmp(prefork_request_target(request, NULL), "/") == 0)
		return respond(request);
	if (atomic_fetch_add(&handled, 1) == 0)
		clock_gettime(CLOCK_MONOTONIC, &began);
	return suspend(request);
}

static int resumed(struct prefork_request *request, void *user)
{
	(void)user;
	return atomic_fetch_add(&resumed_count, 1) < total ? suspend(request) : respond(request);
}

static int start(struct prefork_worker *worker, void *user)
{
	pthread_t thread;

	(void)worker;
	(void)user;
	return -pthread_create(&thread, NULL, resume_all, NULL);
}

static const struct prefork_http_service service = {
	.struct_size = sizeof service, .worker_start = start, .handle = handle, .resumed = resumed
};

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	total = argc > 1 ? atol(argv[1]) : 0;
	argv[1] = argv[0];
	int r = total > 0 ? prefork_http_load(argc - 1, argv + 1, &settings) : -1;
	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_http_add_service(arbiter, "rate", &service, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		fprintf(stderr, "resume_rate: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
