#include "web.h"

#include "http/http_options.h"
#include "model/message.h"
#include "os/clock.h"

#include <prefork/settings.h>

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Runs in the worker. */
static int count_handle(struct prefork_request *request, void *user)
{
	struct web *const web = user;

	atomic_fetch_add(&web->counts->handled, 1);
	return web->handle(request, user);
}

/* Runs in the worker. */
static void count_finished(struct prefork_request *request, void *user)
{
	struct web *const web = user;

	if (web->finished)
		web->finished(request, user);
	atomic_store(&web->counts->error, prefork_request_error(request));
	atomic_fetch_add(&web->counts->finished, 1);
}

struct web_counts *web_counts(const struct prefork_request *request)
{
	const struct web *const web = prefork_request_service_user(request);

	return web->counts;
}

void web_open(struct web *web, int (*handle)(struct prefork_request *request, void *user), const char *const settings[])
{
	const struct prefork_http_service service = { .struct_size = sizeof service, .handle = handle };

	web_open_service(web, &service, settings);
}

void web_open_service(struct web *web, const struct prefork_http_service *service, const char *const settings[])
{
	/* No keep-alive unless the test sets it, whatever the default of the worker class is; and idle connections do not
	 * delay the end of a test. */
	const char *argv[20] = { "web", harness_threads() > 1 ? "--worker-class=threads" : "--worker-class=sync",
				 "--keep-alive=0", "--drain-idle=0" };
	char threads[32];
	int argc = 4;

	for (size_t i = 0; settings != NULL && settings[i] != NULL; i++) {
		ck_assert_int_lt(argc, 17);
		argv[argc++] = settings[i];
	}
	(void)snprintf(threads, sizeof threads, "--threads=%d", harness_threads());
	argv[argc++] = threads;
	*web = (struct web){ .handle = service->handle, .finished = service->finished, .service = *service };
	web->service.handle = count_handle;
	web->service.finished = count_finished;
	web->counts = mmap(NULL, sizeof *web->counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(web->counts, MAP_FAILED);
	ck_assert_int_eq(prefork_http_load(argc, (char *const *)(uintptr_t)argv, &web->settings), 0);
	harness_open(&web->harness, pfi_http_table());
	web->harness.context.user = pfi_http_create(&web->service, web);
	web->harness.context.settings = web->settings;
	harness_spawn(&web->harness);
}

void web_close(struct web *web)
{
	harness_send(&web->harness, PFI_MESSAGE_DRAIN, 0);
	web_reap(web);
}

void web_reap(struct web *web)
{
	const struct pfi_exit_status exit_status = harness_reap(&web->harness);

	ck_assert_msg(exit_status.known && exit_status.signo == 0 && exit_status.code == 0, "signal %d, status %d",
	              exit_status.signo, exit_status.code);
	ck_assert_int_eq(atomic_load(&web->counts->finished), atomic_load(&web->counts->handled));
	web_discard(web);
}

void web_discard(struct web *web)
{
	pfi_http_destroy(web->harness.context.user);
	prefork_settings_destroy(web->settings);
	ck_assert_int_eq(munmap(web->counts, sizeof *web->counts), 0);
	harness_close(&web->harness);
}

void web_wait(const _Atomic int *count, int least)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (atomic_load(count) < least) {
		ck_assert_msg(pfi_now_ms() < end_ms, "waited in vain for %d", least);
		(void)poll(NULL, 0, 2);
	}
}

void web_await_progress(const _Atomic int *count, int least)
{
	for (int seen = atomic_load(count); seen < least; seen = atomic_load(count))
		web_wait(count, seen + 1);
}

int web_request(const struct web *web, const char *bytes, size_t length)
{
	const int fd = harness_connect(&web->harness);
	size_t sent = 0;
	ssize_t n = 1;

	while (sent < length && (n = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL)) > 0)
		sent += (size_t)n;
	return fd; /* a request that is refused early may not be sent to its end */
}

static ssize_t read_until_end(int fd, char *response, size_t size, size_t *ret_got)
{
	ssize_t n = 1;

	*ret_got = 0;
	while (*ret_got < size - 1 && (n = recv(fd, response + *ret_got, size - 1 - *ret_got, 0)) > 0)
		*ret_got += (size_t)n;
	response[*ret_got] = '\0';
	return n;
}

size_t web_read_open(int fd, char *response, size_t size)
{
	size_t got;
	const ssize_t n = read_until_end(fd, response, size, &got);

	ck_assert_msg(n == 0, "the connection ended with %s after %zu bytes: %.1000s",
	              n < 0 ? strerror(errno) : "a full buffer", got, response);
	return got;
}

size_t web_read_all(int fd, char *response, size_t size)
{
	const size_t got = web_read_open(fd, response, size);

	(void)close(fd);
	return got;
}

size_t web_read_rest(int fd, char *response, size_t size)
{
	size_t got;
	const ssize_t n = read_until_end(fd, response, size, &got);

	ck_assert_msg(n == 0 || (n < 0 && errno != EAGAIN), "no input and no end of file arrived");
	(void)close(fd);
	return got;
}

int web_status(const char *response)
{
	return strncmp(response, "HTTP/1.1 ", 9) == 0 ? atoi(response + 9) : 0;
}
