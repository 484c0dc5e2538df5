/* Maps the shared memory of the scoreboard before the first fork; a worker keeps only its own entry. */
#include "os/scoreboard.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

int pfi_scoreboard_open(size_t slots, size_t bytes_each, struct pfi_scoreboard *ret)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (slots == 0 || bytes_each == 0)
		return prefork_fail(-EINVAL, "a scoreboard needs at least one slot and one byte");
	if (bytes_each > SIZE_MAX - page || slots > SIZE_MAX / 2 / (bytes_each + page))
		return prefork_fail(-ENOMEM, "%zu slots do not fit into the address space", slots);
	const size_t stride = (bytes_each + page - 1) / page * page;

	void *base = mmap(NULL, slots * stride, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return prefork_fail(-errno, "cannot map %zu pages of shared memory", slots);
	/* A name in /proc/PID/maps, since Linux 5.17. */
	(void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, base, slots * stride, "prefork workers");
	*ret = (struct pfi_scoreboard){ .base = base, .stride = stride, .first = 0, .count = slots };
	return 0;
}

void *pfi_scoreboard_at(const struct pfi_scoreboard *scoreboard, size_t slot)
{
	if (slot < scoreboard->first || slot - scoreboard->first >= scoreboard->count)
		return NULL;
	return scoreboard->base + slot * scoreboard->stride;
}

static void unmap(const struct pfi_scoreboard *scoreboard, size_t first, size_t count)
{
	if (count > 0)
		(void)munmap(scoreboard->base + first * scoreboard->stride, count * scoreboard->stride);
}

int pfi_scoreboard_keep(struct pfi_scoreboard *scoreboard, size_t slot)
{
	if (!pfi_scoreboard_at(scoreboard, slot))
		return prefork_fail(-EINVAL, "slot %zu is not mapped", slot);
	unmap(scoreboard, scoreboard->first, slot - scoreboard->first);
	unmap(scoreboard, slot + 1, scoreboard->first + scoreboard->count - slot - 1);
	scoreboard->first = slot;
	scoreboard->count = 1;
	return 0;
}

void pfi_scoreboard_close(struct pfi_scoreboard *scoreboard)
{
	unmap(scoreboard, scoreboard->first, scoreboard->count);
	*scoreboard = (struct pfi_scoreboard){ 0 };
}
