/*
 * spool -- a buffer of bytes: in memory up to a limit, and from there on in a file without a
 * name (O_TMPFILE). It holds a request body until the handler reads it, or the part of a
 * response that the client has not taken yet.
 *
 * The files of a worker have a limit together, and so has each of them. One thread uses a
 * spool at a time. Threads share the store, which has the limits and counts what is in use.
 */
#ifndef HTTP_SPOOL_H
#define HTTP_SPOOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iovec;

struct pfi_spool {
	char *bytes;     /* the last `end` bytes that were added: they follow those in the file */
	size_t size;
	size_t end;
	int fd;          /* -1: no file */
	uint64_t length; /* bytes added */
	uint64_t at;     /* bytes read */
	uint64_t reserved; /* bytes of the file that are counted in the store */
	bool may_use_fallback; /* if no file can be created, use memory beyond memory_max */
	size_t fallback; /* bytes of `size` beyond memory_max */
};

#define PFI_SPOOL_EMPTY { .fd = -1 }

enum { PFI_SPOOL_FALLBACK_MAX = 64 * 1024 * 1024 };

/* The directory of the files, and the limits in bytes. */
struct pfi_spool_store {
	size_t memory_max;  /* of one spool, in memory */
	const char *directory;
	uint64_t file_max;  /* of one file */
	uint64_t files_max; /* of all files */
	_Atomic uint64_t reserved; /* of all files, so far */
	_Atomic uint64_t fallback; /* memory beyond memory_max of all spools: at most PFI_SPOOL_FALLBACK_MAX */
};

/** Try to create a file. 0, or a negative errno with an error message. */
int pfi_spool_try(const struct pfi_spool_store *store);

/** Returns space for more bytes, at least one. `expected` is how many more will be added, 0 if that is
 *  unknown. 0, or a negative errno with an error message, and the bytes that were added stay readable:
 *  -ENOBUFS at the limits, -ENOMEM, or an error of the directory and its disk (-ENOSPC, -EDQUOT, -EFBIG,
 *  -EACCES, -EMFILE ...). */
int pfi_spool_space(struct pfi_spool *spool, struct pfi_spool_store *store, uint64_t expected, char **ret,
                   size_t *ret_size);

/** `count` bytes were written to that space. */
void pfi_spool_add(struct pfi_spool *spool, size_t count);

/** No more bytes will be added. If there is a file, write the rest to it and free the memory, if possible. */
void pfi_spool_end(struct pfi_spool *spool, struct pfi_spool_store *store);

/** Read the next bytes. Bytes read, 0 at the end, or a negative errno with an error message. */
ptrdiff_t pfi_spool_read(struct pfi_spool *spool, void *bytes, size_t size);

/** Append `pieces` to the file of a spool that has nothing in memory. The caller sends the file by sendfile(2),
 *  and advances `at`. 0, or an error of pfi_spool_space(), and nothing was appended. */
int pfi_spool_append(struct pfi_spool *spool, struct pfi_spool_store *store, const struct iovec *pieces, int count);

/** Whether bytes are left to read. */
static inline bool pfi_spool_has_more(const struct pfi_spool *spool)
{
	return spool->at < spool->length;
}

/** Free memory and file; the spool is empty then. */
void pfi_spool_clear(struct pfi_spool *spool, struct pfi_spool_store *store);

#endif
