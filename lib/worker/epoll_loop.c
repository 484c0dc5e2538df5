/* Polls listeners, connections and the control descriptor of a worker with one epoll set. */
#include "worker/epoll_loop.h"

#include "os/fd.h"
#include "os/open.h"
#include "worker/own_fds.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* EPOLL_CTL_DEL before close(2): if a process that the application has forked has a copy of the descriptor,
 * close(2) alone would leave the entry in the set (epoll(7), Q6). */
int pfi_epoll_loop_watch(struct pfi_event_core *core, struct pfi_event_state *state, enum prefork_next event)
{
	const struct pfi_epoll_loop *const loop = PFI_RING_OWNER(core, struct pfi_epoll_loop, core);
	const int operation = event == PREFORK_CLOSE           ? EPOLL_CTL_DEL
	                      : state->watched == PREFORK_CLOSE ? EPOLL_CTL_ADD
	                                                         : EPOLL_CTL_MOD;
	const uint32_t wanted = event == PREFORK_WAIT_READABLE   ? EPOLLIN
	                        : event == PREFORK_WAIT_WRITABLE ? EPOLLOUT
	                                                         : EPOLLIN | EPOLLOUT;
	struct epoll_event events = { .events = wanted, .data.ptr = state };

	if (epoll_ctl(loop->epoll, operation, prefork_connection_fd(state->connection), &events) < 0)
		return -errno;
	return 0;
}

int pfi_epoll_loop_add(struct pfi_epoll_loop *loop, int fd, uint32_t events, enum pfi_epoll_key key)
{
	struct epoll_event event = { .events = events, .data.u64 = key };

	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return prefork_fail(-errno, "adding a descriptor of the worker to the epoll set failed: %s", strerror(errno));
	return 0;
}

int pfi_epoll_loop_open(struct pfi_epoll_loop *loop)
{
	struct prefork_worker *const worker = loop->core.worker;

	loop->epoll = pfi_open_epoll();
	if (loop->epoll < 0)
		return prefork_fail(loop->epoll, "opening an epoll set failed: %s", strerror(-loop->epoll));
	const int r = pfi_epoll_loop_add(loop, prefork_worker_fd(worker), EPOLLIN, PFI_EPOLL_CONTROL);
	if (r < 0)
		return r;
	pfi_own_fds_add(worker, loop->epoll, "epoll set of connections");
	return pfi_accept_set_open(&loop->core.accept_set, worker, loop->epoll, 0);
}

void pfi_epoll_loop_close(struct pfi_epoll_loop *loop)
{
	pfi_own_fds_clear(loop->core.worker);
	pfi_event_core_finish(&loop->core);
	pfi_close(&loop->epoll);
}

/* Listeners first: no sibling was woken for their connections. */
unsigned pfi_epoll_loop_poll(struct pfi_epoll_loop *loop, int max, int timeout_ms)
{
	struct epoll_event events[PFI_EPOLL_EVENTS_MAX];
	const int count = epoll_wait(loop->epoll, events, max, timeout_ms);
	unsigned found = count == 0 ? PFI_EPOLL_EMPTY : 0;

	if (count < 0 && errno != EINTR)
		pfi_own_fds_lost(loop->core.worker);
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 < loop->core.accept_set.count)
			pfi_event_core_accept(&loop->core, (size_t)events[i].data.u64);
		else if (events[i].data.u64 == PFI_EPOLL_CONTROL)
			found |= PFI_EPOLL_HAS_CONTROL;
		else if (events[i].data.u64 == PFI_EPOLL_TIMER)
			found |= PFI_EPOLL_HAS_TIMER;
	}
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 > PFI_EPOLL_WAKE)
			pfi_event_core_ready(&loop->core, events[i].data.ptr);
	}
	return found;
}
