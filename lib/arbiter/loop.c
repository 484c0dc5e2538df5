/* The epoll instance, timer and eventfd of an arbiter. The application polls the epoll instance, so nothing here
 * blocks. */
#include "arbiter/loop.h"

#include "arbiter/arbiter.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/open.h"
#include "os/log.h"
#include "os/timer.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static uint64_t encode(struct pfi_tag tag)
{
	return (uint64_t)tag.source << 56 | (uint64_t)(tag.worker_index & 0xffffff) << 32 | tag.incarnation;
}

static struct pfi_tag decode(uint64_t bits)
{
	return (struct pfi_tag){ (enum pfi_source)(bits >> 56), (unsigned)(bits >> 32 & 0xffffff),
				 (uint32_t)bits };
}

/*
 * Edge-triggered:
 *
 * A watchdog timer. The worker has the same open file description, and with it O_NONBLOCK, which it may clear: read(2)
 * would then block on an expiry that the worker has re-armed since. Each expiry is an event and nothing has to be read.
 *
 * The pidfd of a child. A debugger that traces the child has the right to wait for it first: until then the pidfd is
 * readable, and waitid(2) returns nothing. The kernel reports the exit again when the debugger has reaped or detached.
 */
static bool is_edge_triggered(enum pfi_source source)
{
	return source == PFI_SOURCE_WATCHDOG || source == PFI_SOURCE_PIDFD || source == PFI_SOURCE_LOOKUP ||
	       source == PFI_SOURCE_TRIAL || source == PFI_SOURCE_UPGRADE_EXIT;
}

int pfi_loop_add(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = encode(tag) };

	if (is_edge_triggered(tag.source))
		event.events |= EPOLLET;
	if (epoll_ctl(arbiter->loop.epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return prefork_fail(-errno, "the arbiter cannot poll one more descriptor: %s", strerror(errno));
}

int pfi_loop_open(struct prefork_arbiter *arbiter)
{
	static atomic_uint last_id;
	struct pfi_loop *const loop = &arbiter->loop;
	int r;

	arbiter->id = (atomic_fetch_add(&last_id, 1) + 1) & 0xffffff; /* the table of descriptors has 24 bits for it */
	/* One by one, so that the error is that of the call that failed. */
	if ((r = loop->epoll = pfi_open_epoll()) < 0 || (r = loop->request_fd = pfi_open_eventfd()) < 0 ||
	    (r = loop->timer = pfi_timer_open()) < 0)
		return prefork_fail(r, "an arbiter cannot open an epoll instance, an eventfd or a timerfd: %s", strerror(-r));
	const int fds[] = { loop->epoll, loop->request_fd, loop->timer, pfi_log_fd(arbiter->log) };
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		pfi_fdtable_set_owner(fds[i], arbiter->id, PFI_FD_NO_SLOT);
	r = pfi_loop_add(arbiter, loop->timer, (struct pfi_tag){ PFI_SOURCE_TIMER, 0, 0 });
	return r == 0 ? pfi_loop_add(arbiter, loop->request_fd, (struct pfi_tag){ PFI_SOURCE_REQUESTS, 0, 0 }) : r;
}

void pfi_loop_close(struct prefork_arbiter *arbiter)
{
	pfi_close(&arbiter->loop.timer);
	pfi_close(&arbiter->loop.request_fd);
	pfi_close(&arbiter->loop.epoll);
}

/* Programs that close all descriptors from 3 on do so while they load, so an application that is preloaded may. */
int pfi_loop_verify(const struct prefork_arbiter *arbiter)
{
	struct pollfd fds[] = { { .fd = arbiter->loop.epoll }, { .fd = arbiter->loop.timer },
				{ .fd = arbiter->loop.request_fd }, { .fd = pfi_log_fd(arbiter->log) } };
	const nfds_t count = sizeof fds / sizeof fds[0];

	(void)poll(fds, count, 0);
	for (nfds_t i = 0; i < count; i++) {
		if (fds[i].revents & POLLNVAL)
			return prefork_fail(-EBADF, "the program has closed a descriptor of the arbiter (%d): close only your own",
					    fds[i].fd);
	}
	return 0;
}

int pfi_loop_add_once(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = encode(tag) };

	if (epoll_ctl(arbiter->loop.epoll, EPOLL_CTL_MOD, fd, &event) == 0 ||
	    (errno == ENOENT && epoll_ctl(arbiter->loop.epoll, EPOLL_CTL_ADD, fd, &event) == 0))
		return 0;
	return -errno;
}

/* epoll(7): close(2) removes a descriptor only with the last copy of it, and workers have copies. */
void pfi_loop_remove(struct prefork_arbiter *arbiter, int fd)
{
	if (fd >= 0)
		(void)epoll_ctl(arbiter->loop.epoll, EPOLL_CTL_DEL, fd, NULL);
}

void pfi_loop_arm(struct prefork_arbiter *arbiter, uint64_t at_ms)
{
	if (at_ms == arbiter->loop.timer_at_ms)
		return;
	arbiter->loop.timer_at_ms = at_ms;
	(void)pfi_timer_set(arbiter->loop.timer, at_ms);
}

void pfi_loop_clear_timer(struct prefork_arbiter *arbiter)
{
	(void)pfi_timer_clear(arbiter->loop.timer);
	arbiter->loop.timer_at_ms = 0;
}

void pfi_loop_clear_request(struct prefork_arbiter *arbiter)
{
	uint64_t count;

	(void)!read(arbiter->loop.request_fd, &count, sizeof count);
}

void pfi_loop_wake(struct prefork_arbiter *arbiter)
{
	const int saved_errno = errno;
	const uint64_t one = 1;

	(void)!write(arbiter->loop.request_fd, &one, sizeof one);
	errno = saved_errno;
}

size_t pfi_loop_take(struct prefork_arbiter *arbiter, struct pfi_tag tags[PFI_EVENTS_MAX])
{
	struct epoll_event events[PFI_EVENTS_MAX];
	const int count = epoll_wait(arbiter->loop.epoll, events, PFI_EVENTS_MAX, 0);

	for (int i = 0; i < count; i++)
		tags[i] = decode(events[i].data.u64);
	return count > 0 ? (size_t)count : 0;
}
