/* Writes the stack of the calling thread with backtrace(3), in a signal handler. */
#include "os/dump.h"

#include <errno.h>
#include <execinfo.h>

enum { FRAMES_MAX = 64 };

void pfi_dump_prepare(void)
{
	void *frame[1];

	(void)backtrace(frame, 1); /* the first call loads libgcc */
}

bool pfi_dump_stack(int fd)
{
	void *frames[FRAMES_MAX];
	const int saved_errno = errno;
	const int count = backtrace(frames, FRAMES_MAX);

	/* Without the frame of this function. */
	if (count > 1)
		backtrace_symbols_fd(frames + 1, count - 1, fd);
	errno = saved_errno;
	return count > 1;
}
