/* Reaps children that were killed and are not needed any more, without waiting for them: it checks again after
 * growing pauses. */
#include "arbiter/killed.h"

#include "arbiter/arbiter.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/reap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

/* The pause between checks doubles from 5 ms to about a second. */
enum { FIRST_PAUSE_MS = 5, PAUSE_MAX_MS = 1000, FINISH_WAIT_MS = 2000 };

bool pfi_killed_has_space(const struct prefork_arbiter *arbiter)
{
	return arbiter->killed.count < PFI_KILLED_MAX;
}

void pfi_killed_add(struct prefork_arbiter *arbiter, int *pidfd)
{
	struct pfi_killed *const killed = &arbiter->killed;

	(void)pfi_pidfd_signal(*pidfd, SIGKILL, 0);
	if (!pfi_killed_has_space(arbiter)) { /* not reached: callers check before they fork */
		pfi_close(pidfd);
		return;
	}
	killed->pidfds[killed->count++] = *pidfd;
	killed->pause_ms = FIRST_PAUSE_MS;
	killed->check_at_ms = 0;
	*pidfd = -1;
}

/* Reap the children that have exited, and keep the others. */
static void reap_exited(struct pfi_killed *killed)
{
	struct pfi_exit_status status;
	unsigned kept = 0;

	for (unsigned i = 0; i < killed->count; i++) {
		int pidfd = killed->pidfds[i];

		if (pfi_reap(pidfd, &status) == -EAGAIN)
			killed->pidfds[kept++] = pidfd;
		else
			pfi_close(&pidfd);
	}
	killed->count = kept;
}

static void wait_for_exit(const struct pfi_killed *killed, uint64_t wait_ms)
{
	struct pollfd exited[PFI_KILLED_MAX];

	for (unsigned i = 0; i < killed->count; i++)
		exited[i] = (struct pollfd){ .fd = killed->pidfds[i], .events = POLLIN };
	(void)poll(exited, killed->count, (int)wait_ms);
}

void pfi_killed_finish(struct prefork_arbiter *arbiter)
{
	struct pfi_killed *const killed = &arbiter->killed;
	const uint64_t end_ms = pfi_now_ms() + FINISH_WAIT_MS;

	reap_exited(killed);
	for (uint64_t now_ms = pfi_now_ms(); killed->count > 0 && now_ms < end_ms; now_ms = pfi_now_ms()) {
		wait_for_exit(killed, end_ms - now_ms);
		reap_exited(killed);
	}
	while (killed->count > 0)
		pfi_close(&killed->pidfds[--killed->count]);
}

uint64_t pfi_killed_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_killed *const killed = &arbiter->killed;

	reap_exited(killed);
	if (killed->count == 0)
		return 0;
	if (killed->check_at_ms <= now_ms) {
		killed->check_at_ms = now_ms + killed->pause_ms;
		if (killed->pause_ms < PAUSE_MAX_MS)
			killed->pause_ms *= 2;
	}
	return killed->check_at_ms;
}
