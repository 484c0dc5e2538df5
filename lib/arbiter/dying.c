/* Children that were sent SIGKILL and that nobody counts on: reaped when they have ended, which
 * one in an uninterruptible call may put off. */
#include "arbiter/arbiter.h"

#include "os/fd.h"
#include "os/reap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

enum { FIRST_LOOK_MS = 5, LAST_LOOK_MS = 1000, LAST_MOMENT_MS = 100 };

bool pfi_dying_has_room(const struct prefork_arbiter *arbiter)
{
	return arbiter->dying.count < PFI_DYING_MAX;
}

void pfi_dying_add(struct prefork_arbiter *arbiter, int *pidfd)
{
	(void)pfi_pidfd_signal(*pidfd, SIGKILL, 0);
	if (!pfi_dying_has_room(arbiter)) { /* its starter asks before */
		pfi_close(pidfd);
		return;
	}
	arbiter->dying.pidfds[arbiter->dying.count++] = *pidfd;
	arbiter->dying.pause_ms = FIRST_LOOK_MS;
	arbiter->dying.look_at_ms = 0;
	*pidfd = -1;
}

/* Nobody will look again: they get a moment. */
void pfi_dying_finish(struct prefork_arbiter *arbiter)
{
	struct pfi_exit_status death;

	for (unsigned i = 0; i < arbiter->dying.count; i++) {
		struct pollfd gone = { .fd = arbiter->dying.pidfds[i], .events = POLLIN };

		(void)poll(&gone, 1, LAST_MOMENT_MS);
		(void)pfi_reap(gone.fd, &death);
		pfi_close(&arbiter->dying.pidfds[i]);
	}
	arbiter->dying.count = 0;
}

uint64_t pfi_dying_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_exit_status death;
	unsigned kept = 0;

	for (unsigned i = 0; i < arbiter->dying.count; i++) {
		int pidfd = arbiter->dying.pidfds[i];

		if (pfi_reap(pidfd, &death) == -EAGAIN)
			arbiter->dying.pidfds[kept++] = pidfd;
		else
			pfi_close(&pidfd);
	}
	arbiter->dying.count = kept;
	if (kept == 0)
		return 0;
	if (arbiter->dying.look_at_ms <= now_ms) {
		arbiter->dying.look_at_ms = now_ms + arbiter->dying.pause_ms;
		if (arbiter->dying.pause_ms < LAST_LOOK_MS)
			arbiter->dying.pause_ms *= 2;
	}
	return arbiter->dying.look_at_ms;
}
