/* Long polling: GET waits for the next message, without a thread; POST sends one to all that wait in this worker. */
#include <prefork/http.h>
#include <prefork/prefork.h>
#include <prefork/worker.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct waiter {
	struct prefork_request *request;
	struct waiter *next;
};

/* Of a worker. Under the threads strategy several threads use the list. */
static struct waiter *waiters;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int respond(struct prefork_request *request, int status, const char *bytes, size_t size)
{
	const int r = prefork_response_start(request, status, NULL);

	return r == 0 ? prefork_response_bytes(request, bytes, size) : r;
}

/* Any thread may do this. If a client has left, the functions return an error, and the request ends. */
static size_t send_all(int status, const char *bytes, size_t size)
{
	size_t count = 0;

	pthread_mutex_lock(&lock);
	for (; waiters != NULL; count++) {
		struct prefork_request *const request = waiters->request;

		waiters = waiters->next;
		(void)respond(request, status, bytes, size);
		(void)prefork_request_resume(request); /* it must not be used from here on */
	}
	pthread_mutex_unlock(&lock);
	return count;
}

/* `lock` is held, so that either the request is in the list when drain_begin() is called, or the worker drains by now. */
static int suspend(struct prefork_request *request, struct waiter *waiter)
{
	if (prefork_worker_directive(prefork_request_worker(request)) != PREFORK_CONTINUE)
		return respond(request, 204, "", 0);
	const int r = prefork_request_suspend(request);
	if (r == 0) {
		*waiter = (struct waiter){ request, waiters };
		waiters = waiter;
	}
	return r;
}

static int wait_for_message(struct prefork_request *request)
{
	struct waiter *const waiter = malloc(sizeof *waiter);

	if (waiter == NULL)
		return prefork_fail(-ENOMEM, "no memory for a waiting request");
	prefork_request_set_user(request, waiter); /* finished() frees it */
	pthread_mutex_lock(&lock);
	const int r = suspend(request, waiter);
	pthread_mutex_unlock(&lock);
	return r;
}

static int send_message(struct prefork_request *request)
{
	char message[4096], text[64];
	const ptrdiff_t size = prefork_request_read(request, message, sizeof message);

	if (size < 0)
		return (int)size;
	const size_t count = send_all(200, message, (size_t)size);
	return respond(request, 200, text, (size_t)snprintf(text, sizeof text, "sent to %zu\n", count));
}

static int handle(struct prefork_request *request, void *user)
{
	(void)user;
	return strcmp(prefork_request_method(request, NULL), "POST") == 0 ? send_message(request) : wait_for_message(request);
}

/* The client has left, or a limit is reached: end the request, unless send_all() has taken it already. */
static void give_up(struct prefork_request *request, void *user)
{
	(void)user;
	pthread_mutex_lock(&lock);
	for (struct waiter **at = &waiters; *at != NULL; at = &(*at)->next) {
		if ((*at)->request == request) {
			*at = (*at)->next;
			(void)prefork_request_resume(request);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

/* The worker leaves: its clients ask again. 204: no message so far. */
static void drain_begin(struct prefork_worker *worker, void *user)
{
	(void)worker, (void)user;
	(void)send_all(204, "", 0);
}

/* After give_up() there is no response yet. */
static int resumed(struct prefork_request *request, void *user)
{
	(void)user;
	return prefork_response_status(request) == 0 ? respond(request, 204, "", 0) : 0;
}

static void finished(struct prefork_request *request, void *user)
{
	(void)user;
	free(prefork_request_user(request));
}

static const struct prefork_http_service service = {
	.struct_size = sizeof service,
	.handle = handle,
	.finished = finished,
	.resumed = resumed,
	.client_gone = give_up,
	.drain_begin = drain_begin,
	.abandoned = give_up,
};

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	prefork_title_take(argc, argv); /* for ps(1) */
	int r = prefork_http_load(argc, argv, &settings);

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_http_add_service(arbiter, "long_poll", &service, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		fprintf(stderr, "long_poll: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
