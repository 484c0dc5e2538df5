/* The smallest loop of an application around prefork_worker_dispatch(). Includes public headers only. */
#include "poll_driver.h"

#include <prefork/error.h>
#include <prefork/listener.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 8 };
static const uint64_t worker_key = UINT64_MAX; /* otherwise the data is the index of a listener */

struct host {
	struct prefork_worker *worker;
	int epoll;
};

static int change(const struct host *host, int operation, int fd, uint64_t key)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = key };

	return epoll_ctl(host->epoll, operation, fd, &event) < 0 ? prefork_fail(-errno, "epoll_ctl: %s", strerror(errno)) : 0;
}

static int listener_fd(const struct host *host, size_t index)
{
	return prefork_listener_fd(prefork_worker_listener(host->worker, index));
}

static void stop_listeners(void *user)
{
	const struct host *const host = user;

	for (size_t i = 0; i < prefork_worker_listeners(host->worker); i++)
		(void)epoll_ctl(host->epoll, EPOLL_CTL_DEL, listener_fd(host, i), NULL);
}

static int watch(struct host *host, bool adopts)
{
	int r = change(host, EPOLL_CTL_ADD, prefork_worker_poll_fd(host->worker), worker_key);

	for (size_t i = 0; r == 0 && adopts && i < prefork_worker_listeners(host->worker); i++)
		r = change(host, EPOLL_CTL_ADD, listener_fd(host, i), i);
	if (r == 0 && adopts && prefork_worker_adopt_listeners(host->worker) < 0)
		stop_listeners(host); /* the worker's own set has them */
	return r;
}

/* One turn; false: the worker is done. */
static bool turn(struct host *host, bool reports)
{
	struct epoll_event events[EVENTS];
	bool goes_on = true;

	if (reports)
		prefork_worker_idle(host->worker);
	const int count = epoll_wait(host->epoll, events, EVENTS, -1);
	if (reports)
		prefork_worker_busy(host->worker);
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == worker_key)
			goes_on = prefork_worker_dispatch(host->worker) == 1;
		else
			prefork_worker_listener_ready(host->worker, (size_t)events[i].data.u64);
	}
	return goes_on;
}

static int run_host(struct prefork_worker *worker, const struct prefork_host_loop *loop, bool adopts)
{
	struct host host = { .worker = worker, .epoll = epoll_create1(EPOLL_CLOEXEC) };
	int r = host.epoll < 0 ? prefork_fail(-errno, "epoll_create1: %s", strerror(errno)) : 0;

	if (r == 0)
		r = prefork_worker_poll_open(worker, loop, &host);
	if (r == 0)
		r = watch(&host, adopts);
	while (r == 0 && turn(&host, loop && loop->flags))
		continue;
	prefork_worker_poll_close(worker);
	if (host.epoll >= 0)
		(void)close(host.epoll);
	return r;
}

static int run(struct prefork_worker *worker, void *user)
{
	static const struct prefork_host_loop loop = {
		.struct_size = sizeof loop, .flags = PREFORK_LOOP_REPORTS_IDLE, .listeners_closing = stop_listeners,
	};

	(void)user;
	return run_host(worker, &loop, true);
}

static int run_plain(struct prefork_worker *worker, void *user)
{
	(void)user;
	return run_host(worker, NULL, false);
}

const struct prefork_strategy poll_driver = {
	.struct_size = sizeof poll_driver,
	.name = "poll-driver",
	.traits = PREFORK_STRATEGY_REPORTS_READY | PREFORK_STRATEGY_TURNS,
	.run = run,
};

const struct prefork_strategy poll_driver_plain = {
	.struct_size = sizeof poll_driver_plain,
	.name = "poll-driver-plain",
	.traits = PREFORK_STRATEGY_REPORTS_READY | PREFORK_STRATEGY_TURNS,
	.run = run_plain,
};
