#include "arbiter/arbiter.h"

#include "os/mailbox.h"
#include "os/watch.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

static uint64_t pack(struct pfi_tag tag)
{
	return (uint64_t)tag.source << 56 | (uint64_t)(tag.seat & 0xffffff) << 32 | tag.incarnation;
}

static struct pfi_tag unpack(uint64_t bits)
{
	return (struct pfi_tag){ (enum pfi_source)(bits >> 56), (unsigned)(bits >> 32 & 0xffffff), (uint32_t)bits };
}

int pfi_loop_add(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = pack(tag) };

	return epoll_ctl(arbiter->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
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
	(void)pfi_watch_set(arbiter->timer, at_ms);
}

static void child_event(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	if (tag.seat >= arbiter->seat_count)
		return;

	struct prefork_process *const process = &arbiter->processes[tag.seat];

	if (process->pid == 0 || pfi_process_slot(process)->incarnation != tag.incarnation)
		return; /* of a process that is gone */
	if (tag.source == PFI_SOURCE_PIDFD)
		pfi_child_died(arbiter, process, now_ms);
	else if (tag.source == PFI_SOURCE_LIFELINE)
		pfi_child_hear(arbiter, process, now_ms);
	else
		pfi_child_watch_fired(arbiter, process, now_ms);
}

void pfi_loop_read(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct epoll_event events[64];
	const int count = epoll_wait(arbiter->epoll, events, 64, 0);
	uint64_t sink;

	for (int i = 0; i < count; i++) {
		const struct pfi_tag tag = unpack(events[i].data.u64);

		switch (tag.source) {
		case PFI_SOURCE_TIMER:
			(void)pfi_watch_clear(arbiter->timer);
			arbiter->timer_at_ms = 0;
			break;
		case PFI_SOURCE_ASKED:
			(void)!read(arbiter->asked_fd, &sink, sizeof sink);
			break;
		case PFI_SOURCE_SIGNALS:
			pfi_signals_process(arbiter, now_ms);
			break;
		default:
			child_event(arbiter, tag, now_ms);
		}
	}
}
