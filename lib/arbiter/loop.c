#include "arbiter/arbiter.h"

#include "os/fdtable.h"
#include "os/log.h"
#include "os/timer.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

static uint64_t pack(struct pfi_tag tag)
{
	return (uint64_t)tag.source << 56 | (uint64_t)(tag.worker_index & 0xffffff) << 32 | tag.incarnation;
}

static struct pfi_tag release_resources(uint64_t bits)
{
	return (struct pfi_tag){ (enum pfi_source)(bits >> 56), (unsigned)(bits >> 32 & 0xffffff),
				 (uint32_t)bits };
}

int pfi_loop_add(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = pack(tag) };

	/* A worker shares its watch, and the flag O_NONBLOCK of it: a read of an expiry that the worker has taken
	 * back since would block. By the edge there is an event for each expiry, and nothing to read. */
	if (tag.source == PFI_SOURCE_WATCHDOG)
		event.events |= EPOLLET;
	if (epoll_ctl(arbiter->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return prefork_fail(-errno, "the arbiter cannot watch one more descriptor: %s", strerror(errno));
}

/* Each descriptor with the error of its own call: EMFILE, ENFILE, ENOMEM, or what a sandbox answers. */
int pfi_loop_open(struct prefork_arbiter *arbiter)
{
	static atomic_uint last_id;
	int r;

	arbiter->id = (atomic_fetch_add(&last_id, 1) + 1) & 0xffffff; /* as many bits as the table has for it */
	if ((r = arbiter->epoll = pfi_open_epoll()) < 0 || (r = arbiter->request_fd = pfi_open_eventfd()) < 0 ||
	    (r = arbiter->timer = pfi_timer_open()) < 0)
		return prefork_fail(r, "an arbiter cannot open an epoll set, an eventfd or a timer: %s", strerror(-r));
	const int fds[] = { arbiter->epoll, arbiter->request_fd, arbiter->timer, pfi_log_fd(arbiter->log) };
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		pfi_fdtable_set_owner(fds[i], arbiter->id, PFI_FD_NO_SLOT);
	r = pfi_loop_add(arbiter, arbiter->timer, (struct pfi_tag){ PFI_SOURCE_TIMER, 0, 0 });
	return r == 0 ? pfi_loop_add(arbiter, arbiter->request_fd, (struct pfi_tag){ PFI_SOURCE_REQUESTS, 0, 0 }) : r;
}

/* What a program closes that is not its own, an application that is preloaded above all. 0 or -EBADF. */
int pfi_loop_verify(const struct prefork_arbiter *arbiter)
{
	struct pollfd fds[] = { { .fd = arbiter->epoll }, { .fd = arbiter->timer }, { .fd = arbiter->request_fd },
				{ .fd = pfi_log_fd(arbiter->log) } };
	const nfds_t count = sizeof fds / sizeof fds[0];

	(void)poll(fds, count, 0);
	for (nfds_t i = 0; i < count; i++) {
		if (fds[i].revents & POLLNVAL)
			return prefork_fail(-EBADF, "the program has closed a descriptor of the arbiter's (%d): close only your own",
					    fds[i].fd);
	}
	return 0;
}

/* One event, then none until it is added again. */
int pfi_loop_add_once(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = pack(tag) };

	if (epoll_ctl(arbiter->epoll, EPOLL_CTL_MOD, fd, &event) == 0 ||
	    (errno == ENOENT && epoll_ctl(arbiter->epoll, EPOLL_CTL_ADD, fd, &event) == 0))
		return 0;
	return -errno;
}

/* Before close: a worker may hold a copy, and then close alone would leave the
 * descriptor's events with us. */
void pfi_loop_remove(struct prefork_arbiter *arbiter, int fd)
{
	if (fd >= 0)
		(void)epoll_ctl(arbiter->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* Nothing due: no timer, and no wake-up. */
void pfi_loop_arm(struct prefork_arbiter *arbiter, uint64_t at_ms)
{
	if (at_ms == arbiter->timer_at_ms)
		return;
	arbiter->timer_at_ms = at_ms;
	(void)pfi_timer_set(arbiter->timer, at_ms);
}

/* What has come, without waiting; how many. */
size_t pfi_loop_take(struct prefork_arbiter *arbiter, struct pfi_tag tags[PFI_EVENTS_MAX])
{
	struct epoll_event events[PFI_EVENTS_MAX];
	const int count = epoll_wait(arbiter->epoll, events, PFI_EVENTS_MAX, 0);

	for (int i = 0; i < count; i++)
		tags[i] = release_resources(events[i].data.u64);
	return count > 0 ? (size_t)count : 0;
}
