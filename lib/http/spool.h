/*
 * spool -- a request body that is kept until its handler asks for it: in memory
 * as far as that is allowed, and from there on in a file without a name.
 */
#ifndef HTTP_SPOOL_H
#define HTTP_SPOOL_H

#include <stddef.h>
#include <stdint.h>

struct pfi_spool {
	char *bytes;  /* the last `end` bytes that came; before the end of a file nothing stays here */
	size_t size;
	size_t end;
	int fd;       /* -1: all of it is in memory */
	uint64_t length;
	uint64_t at;  /* read so far */
};

#define PFI_SPOOL_EMPTY { .fd = -1 }

/* Where bytes may stay. */
struct pfi_spool_place {
	size_t memory_max;
	const char *folder;
};

/** Room for bytes that come: at least one. `expected` is how many more are known to come, 0
 *  when that is unknown. 0, or a negative errno with a sentence: -ENOMEM, or what the folder
 *  and its disk say (-ENOSPC, -EDQUOT, -EFBIG, -EACCES, -EMFILE ...). */
int pfi_spool_room(struct pfi_spool *spool, const struct pfi_spool_place *place, uint64_t expected, char **ret,
                   size_t *ret_size);

/** So many were put there. */
void pfi_spool_add(struct pfi_spool *spool, size_t count);

/** No more will come. Errors as pfi_spool_room(). */
int pfi_spool_end(struct pfi_spool *spool, const struct pfi_spool_place *place);

/** The next bytes: how many, 0 at the end, or a negative errno. */
ptrdiff_t pfi_spool_read(struct pfi_spool *spool, void *bytes, size_t size);

/** Give back memory and file; it is empty then. */
void pfi_spool_clear(struct pfi_spool *spool);

#endif
