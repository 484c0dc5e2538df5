/* The arbiter in a libev loop of the application: one watcher on the epoll descriptor. arbiter.c ends the attachment
 * through arbiter->detach, so that it does not depend on libev. */
#include "arbiter/arbiter.h"

#include "base/required.h"

#include <prefork/error.h>

#include <errno.h>
#include <ev.h>
#include <stdlib.h>

struct pfi_attachment {
	struct prefork_arbiter *arbiter;
	struct ev_loop *loop;
	ev_io io;
	void (*done)(struct prefork_arbiter *arbiter, int result, void *user);
	void *user;
};

static void detach(struct prefork_arbiter *arbiter)
{
	struct pfi_attachment *const attachment = arbiter->attachment;

	if (attachment == NULL)
		return;
	arbiter->attachment = NULL;
	arbiter->detach = NULL;
	ev_io_stop(attachment->loop, &attachment->io);
	free(attachment);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	const struct pfi_attachment attachment = *(struct pfi_attachment *)io->data;
	const int r = prefork_arbiter_dispatch(attachment.arbiter);

	(void)loop;
	(void)events;
	if (r == 1)
		return;
	detach(attachment.arbiter);
	if (attachment.done != NULL)
		attachment.done(attachment.arbiter, r, attachment.user); /* may destroy the arbiter */
}

int prefork_arbiter_attach(struct prefork_arbiter *arbiter, struct ev_loop *loop,
			   void (*done)(struct prefork_arbiter *arbiter, int result, void *user), void *user)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (loop == NULL) {
		detach(arbiter);
		return 0;
	}
	if (!arbiter->started)
		return prefork_fail(-EINVAL, "an arbiter is attached to a loop after its start");
	if (arbiter->attachment != NULL)
		return prefork_fail(-EBUSY, "this arbiter is attached to a loop already");

	struct pfi_attachment *const attachment = calloc(1, sizeof *attachment);

	if (attachment == NULL)
		return prefork_fail(-ENOMEM, "no memory to attach to a loop");
	*attachment = (struct pfi_attachment){ .arbiter = arbiter, .loop = loop, .done = done, .user = user };
	ev_io_init(&attachment->io, on_readable, prefork_arbiter_fd(arbiter), EV_READ);
	attachment->io.data = attachment;
	ev_io_start(loop, &attachment->io);
	ev_feed_event(loop, &attachment->io, EV_READ); /* the first turn after start is due at once */
	arbiter->attachment = attachment;
	arbiter->detach = detach;
	return 0;
}
