#include "guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void guard_open(struct guard *guard, size_t size)
{
	guard->page = (size_t)sysconf(_SC_PAGESIZE);
	guard->size = (size + guard->page - 1) / guard->page * guard->page;
	guard->base = mmap(NULL, guard->size + guard->page, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guard->base == MAP_FAILED || mprotect(guard->base + guard->size, guard->page, PROT_NONE) != 0)
		abort();
}

void guard_close(struct guard *guard)
{
	(void)munmap(guard->base, guard->size + guard->page);
}

const char *guard_put(struct guard *guard, const char *bytes, size_t length)
{
	if (length > guard->size)
		abort();
	if (length > 0)
		memcpy(guard->base + guard->size - length, bytes, length);
	return guard->base + guard->size - length;
}
