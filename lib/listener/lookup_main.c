/*
 * prefork-lookup HOST... -- answers on standard output, for arbiters whose process has several
 * threads: a child that is forked there may do nothing but exec(2).
 */
#include "listener/lookup.h"

#include <unistd.h>

int main(int argc, char **argv)
{
	return pfi_lookup_all((const char *const *)argv + 1, argc > 0 ? (size_t)argc - 1 : 0, STDOUT_FILENO) < 0;
}
