/* Keeps freed blocks of the size that CPython takes for frames in a list. */
#include "python.h"

#include "frame_blocks.h"

#include <stddef.h>

enum {
	BLOCK_SIZE = 16 * 1024, /* CPython's DATA_STACK_CHUNK_SIZE             */
	KEPT_MAX = 256,         /* 4 MiB: more than that many greenlets end at a time only under load */
};

/* At its beginning. */
struct block {
	struct block *next;
};

static PyObjectArenaAllocator system_blocks;
static struct block *kept;
static unsigned kept_count;

/* Both run with the GIL, as CPython calls these functions. */

static void *take(void *unused, size_t size)
{
	struct block *const block = size == BLOCK_SIZE ? kept : NULL;

	(void)unused;
	if (block == NULL)
		return system_blocks.alloc(system_blocks.ctx, size);
	kept = block->next;
	kept_count--;
	return block;
}

static void give_back(void *unused, void *bytes, size_t size)
{
	struct block *const block = bytes;

	(void)unused;
	if (size != BLOCK_SIZE || kept_count == KEPT_MAX) {
		system_blocks.free(system_blocks.ctx, bytes, size);
		return;
	}
	block->next = kept;
	kept = block;
	kept_count++;
}

void wsgi_frame_blocks_keep(void)
{
	PyObjectArenaAllocator cached = { .alloc = take, .free = give_back };

	PyObject_GetArenaAllocator(&system_blocks);
	PyObject_SetArenaAllocator(&cached);
}
