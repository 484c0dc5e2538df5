/* Requests a stack dump from one thread with tgkill(2). */
#include "os/dump.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int pfi_dump_ask(pid_t pid, pid_t tid)
{
	const int saved_errno = errno;
	const int r = syscall(SYS_tgkill, pid, tid, PFI_DUMP_SIGNAL) < 0 ? -errno : 0;

	errno = saved_errno;
	return r;
}
