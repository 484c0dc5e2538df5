/* Replaces the entries of listeners in the epoll set of another library by exclusive ones. */
#include "worker/adopt_entries.h"

#include "os/epoll.h"

#include <prefork/listener.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <sys/epoll.h>

static int listener_fd(const struct pfi_accept_set *accept_set, size_t index)
{
	return prefork_listener_fd(prefork_worker_listener(accept_set->worker, index));
}

/* Remove the other library's entries, after their data is in `keys`. On failure none is removed. */
static int remove_entries(const struct pfi_accept_set *accept_set, uint64_t *keys, int *ret_set)
{
	int set = -1, first = -1;

	for (size_t i = 0; i < accept_set->count; i++) {
		const int r = pfi_epoll_find(listener_fd(accept_set, i), &set, &keys[i]);

		if (r < 0)
			return r;
		if (i > 0 && set != first)
			return -EEXIST;
		first = set;
	}
	for (size_t i = 0; i < accept_set->count; i++) {
		if (epoll_ctl(set, EPOLL_CTL_DEL, listener_fd(accept_set, i), NULL) < 0)
			return -errno;
	}
	*ret_set = set;
	return 0;
}

int pfi_adopt_entries(struct pfi_accept_set *accept_set, int own, uint64_t *keys)
{
	int set = -1;

	/* pfi_epoll_find() requires that a listener is in one epoll set only, so it leaves the own one first. */
	pfi_accept_set_move(accept_set, own, NULL);
	const int r = accept_set->count > 0 ? remove_entries(accept_set, keys, &set) : -ENOENT;
	if (r == 0)
		pfi_accept_set_move(accept_set, set, keys);
	return r;
}
