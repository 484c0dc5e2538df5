/*
 * spool -- bytes that are kept for who is not ready for them, in memory as far as
 * that is allowed and from there on in a file without a name: a request body until
 * its handler asks for it, or what a client has not taken yet of its response.
 *
 * The files of a worker have a bound together, and so has each of them. It belongs
 * to one thread at a time; the place is shared.
 */
#ifndef HTTP_SPOOL_H
#define HTTP_SPOOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iovec;

struct pfi_spool {
	char *bytes;     /* the last `end` bytes that came: they lie behind those of the file */
	size_t size;
	size_t end;
	int fd;          /* -1: all of it is in memory */
	uint64_t length;
	uint64_t at;     /* read so far */
	uint64_t reserved; /* how long its file may be so far: as much of the place is taken */
	bool may_use_fallback;  /* where no file can be had it may use the place's spare memory     */
	size_t fallback;   /* bytes of `size` that are                                         */
};

#define PFI_SPOOL_EMPTY { .fd = -1 }

enum { PFI_SPOOL_FALLBACK_MAX = 64 * 1024 * 1024 };

/* Where bytes may stay. */
struct pfi_spool_store {
	size_t memory_max;  /* of one of them */
	const char *directory;
	uint64_t file_max;  /* of one of them */
	uint64_t files_max; /* of all together */
	_Atomic uint64_t reserved;
	_Atomic uint64_t fallback; /* memory beyond memory_max, of all together: at most PFI_SPOOL_FALLBACK_MAX */
};

/** Whether a file can be made there: 0, or a negative errno with an error message. */
int pfi_spool_try(const struct pfi_spool_store *store);

/** Room for bytes that come: at least one. `expected` is how many more are known to come, 0
 *  when that is unknown. 0, or a negative errno with an error message, and all that came is still there:
 *  -ENOBUFS at the bounds, -ENOMEM, or what the directory and its disk say (-ENOSPC, -EDQUOT, -EFBIG,
 *  -EACCES, -EMFILE ...). */
int pfi_spool_space(struct pfi_spool *spool, struct pfi_spool_store *store, uint64_t expected, char **ret,
                   size_t *ret_size);

/** So many were put there. */
void pfi_spool_add(struct pfi_spool *spool, size_t count);

/** No more will come: if there is a file, the rest goes there, too, as far as that is possible. */
void pfi_spool_end(struct pfi_spool *spool, struct pfi_spool_store *store);

/** The next bytes: how many, 0 at the end, or a negative errno. */
ptrdiff_t pfi_spool_read(struct pfi_spool *spool, void *bytes, size_t size);

/** Put all these bytes into the file of one that keeps nothing in memory, and whose bytes the
 *  kernel takes from there: `at` is moved on by who has it take them. 0, or an error of
 *  pfi_spool_space(), and nothing was put there. */
int pfi_spool_append(struct pfi_spool *spool, struct pfi_spool_store *store, const struct iovec *pieces, int count);

/** Whether bytes are left in it. */
static inline bool pfi_spool_has_more(const struct pfi_spool *spool)
{
	return spool->at < spool->length;
}

/** Give back memory and file; it is empty then. */
void pfi_spool_clear(struct pfi_spool *spool, struct pfi_spool_store *store);

#endif
