/* prefork_arbiter_attach() in a build without libev: it is not supported. */
#include "base/required.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>

#include <errno.h>

int prefork_arbiter_attach(struct prefork_arbiter *arbiter, struct ev_loop *loop,
			   void (*done)(struct prefork_arbiter *arbiter, int result, void *user), void *user)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	(void)arbiter;
	(void)loop;
	(void)done;
	(void)user;
	return prefork_fail(-ENOTSUP, "this build of the library is without libev: poll prefork_arbiter_fd()");
}
