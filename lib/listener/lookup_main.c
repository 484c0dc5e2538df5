/*
 * prefork-lookup HOST... -- write the results to standard output. For arbiters in a process with several threads, whose
 * forked child may only call async-signal-safe functions before execve(2), fork(2).
 */
#include "listener/lookup.h"

#include <unistd.h>

int main(int argc, char **argv)
{
	return pfi_lookup_all((const char *const *)argv + 1, argc > 0 ? (size_t)argc - 1 : 0, STDOUT_FILENO) < 0;
}
