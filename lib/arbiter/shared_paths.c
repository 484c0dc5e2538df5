/* Keeps the paths of unix sockets that both arbiters of an upgrade have, so that the last one removes them. */
#include "arbiter/shared_paths.h"

#include "arbiter/arbiter.h"
#include "listener/listener.h"
#include "listener/unix_path.h"
#include "os/fd.h"

#include <stdlib.h>
#include <unistd.h>

struct pfi_shared_path {
	char *path;
	int file; /* of the socket in the file system, O_PATH */
};

void pfi_shared_paths_take(struct prefork_arbiter *arbiter, struct prefork_listener *listener)
{
	const unsigned arbiters = PFI_HELD_BY_PARENT | PFI_HELD_BY_CHILD;
	struct pfi_shared_paths *const paths = &arbiter->shared_paths;
	struct pfi_shared_path *more;

	if (listener->path == NULL || listener->maker != getpid() || listener->held_by == 0 ||
	    (listener->held_by & ~arbiters) != 0)
		return;
	more = realloc(paths->list, (paths->count + 1) * sizeof *more);
	if (more == NULL)
		return;
	paths->list = more;
	more[paths->count++] = (struct pfi_shared_path){ .path = listener->path, .file = listener->path_fd };
	listener->path = NULL;
	listener->path_fd = -1;
}

void pfi_shared_paths_finish(struct prefork_arbiter *arbiter, bool is_last)
{
	struct pfi_shared_paths *const paths = &arbiter->shared_paths;

	for (size_t i = 0; i < paths->count; i++) {
		if (is_last)
			pfi_unix_path_remove(paths->list[i].path, paths->list[i].file);
		pfi_close(&paths->list[i].file);
		free(paths->list[i].path);
	}
	free(paths->list);
	*paths = (struct pfi_shared_paths){ 0 };
}
