/* Stack dumps on a C library without backtrace(3): none is written. */
#include "os/dump.h"

/* This C library has no backtrace(3). */

void pfi_dump_prepare(void)
{
}

bool pfi_dump_stack(int fd)
{
	(void)fd;
	return false;
}
