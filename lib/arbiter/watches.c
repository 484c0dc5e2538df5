/* Polls descriptors for the application, and calls its functions. */
#include "arbiter/watches.h"

#include "arbiter/arbiter.h"
#include "base/required.h"
#include "os/fd.h"
#include "os/fdtable.h"

#include <prefork/error.h>

#include <errno.h>

static void end(struct prefork_arbiter *arbiter, struct pfi_watch *watch)
{
	pfi_loop_remove(arbiter, watch->fd);
	pfi_close(&watch->fd);
	watch->id = 0;
}

/* Workers must not inherit it: the table of descriptors has them close it. */
static int begin(struct prefork_arbiter *arbiter, struct pfi_watch *watch, unsigned index)
{
	int r = pfi_fd_set_cloexec(watch->fd, true);

	if (r == 0)
		r = pfi_fdtable_adopt(watch->fd, PFI_FD_WATCHED);
	if (r < 0)
		return prefork_fail(r, "prefork_arbiter_watch(): descriptor %d cannot be polled", watch->fd);
	pfi_fdtable_set_owner(watch->fd, arbiter->id, PFI_FD_NO_SLOT);
	r = pfi_loop_add(arbiter, watch->fd, (struct pfi_tag){ PFI_SOURCE_WATCH, index, watch->id });
	if (r < 0)
		pfi_fdtable_remove(watch->fd);
	return r;
}

int prefork_arbiter_watch(struct prefork_arbiter *arbiter, int fd,
			  void (*ready)(struct prefork_arbiter *arbiter, int fd, void *user), void *user)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	PFI_RETURN_IF_NULL(ready, -EINVAL);

	for (unsigned i = 0; i < PFI_WATCHES_MAX; i++) {
		struct pfi_watch *const watch = &arbiter->watches.list[i];

		if (watch->id != 0)
			continue;
		*watch = (struct pfi_watch){ .id = ++arbiter->watches.last_id, .fd = fd, .ready = ready, .user = user };

		const int r = begin(arbiter, watch, i);

		if (r < 0)
			watch->id = 0;
		return r;
	}
	return prefork_fail(-ENOSPC, "prefork_arbiter_watch(): more than %d descriptors", PFI_WATCHES_MAX);
}

void prefork_arbiter_unwatch(struct prefork_arbiter *arbiter, int fd)
{
	PFI_RETURN_IF_NULL(arbiter, );
	for (unsigned i = 0; i < PFI_WATCHES_MAX; i++) {
		if (arbiter->watches.list[i].id != 0 && arbiter->watches.list[i].fd == fd)
			end(arbiter, &arbiter->watches.list[i]);
	}
}

void pfi_watches_process(struct prefork_arbiter *arbiter, struct pfi_tag tag)
{
	const struct pfi_watch *const watch = &arbiter->watches.list[tag.worker_index % PFI_WATCHES_MAX];

	if (watch->id == tag.incarnation) /* otherwise it was removed since, in the same turn */
		watch->ready(arbiter, watch->fd, watch->user);
}

void pfi_watches_close(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < PFI_WATCHES_MAX; i++) {
		if (arbiter->watches.list[i].id != 0)
			end(arbiter, &arbiter->watches.list[i]);
	}
}
