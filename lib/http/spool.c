/* A buffer that is in memory at first and moves to a file without a name when it exceeds its limit. */
#include "http/spool.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FIRST_SIZE = 16 * 1024 };

static int fail(int error, const struct pfi_spool_store *store)
{
	return prefork_fail(error, "cannot write its body to a file in %s: %s", store->directory, strerror(-error));
}

/* If the application has closed its standard descriptors, the file must not become one of them: what it prints would
 * get into the body. */
static int above_standard(int fd)
{
	if (fd < 0)
		return -errno;
	if (fd > STDERR_FILENO)
		return fd;
	const int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	const int r = higher < 0 ? -errno : higher;
	(void)close(fd);
	return r;
}

/* The file has no name, so the kernel frees it however the process ends. */
static int open_file(const char *directory)
{
	char path[PATH_MAX];
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return above_standard(fd);
	/* A file system or kernel without O_TMPFILE (open(2)). */
	if (snprintf(path, sizeof path, "%s/prefork-body-XXXXXX", directory) >= (int)sizeof path)
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return above_standard(fd);
}

int pfi_spool_try(const struct pfi_spool_store *store)
{
	const int fd = open_file(store->directory);

	if (fd < 0)
		return prefork_fail(fd, "cannot create a file in %s: %s", store->directory, strerror(-fd));
	(void)close(fd);
	return 0;
}

/* Open a file if there is none, and count `length` bytes of it in the store. */
static int reserve(struct pfi_spool *spool, struct pfi_spool_store *store, uint64_t length)
{
	const uint64_t more = length > spool->reserved ? length - spool->reserved : 0;

	if (length > store->file_max)
		return prefork_fail(-ENOBUFS, "its body has reached the limit of a file in %s", store->directory);
	if (spool->fd < 0) {
		const int fd = open_file(store->directory);

		if (fd < 0)
			return fail(fd, store);
		spool->fd = fd;
	}
	if (atomic_fetch_add_explicit(&store->reserved, more, memory_order_relaxed) + more > store->files_max) {
		(void)atomic_fetch_sub_explicit(&store->reserved, more, memory_order_relaxed);
		return prefork_fail(-ENOBUFS, "the files in %s have reached spool_limit", store->directory);
	}
	spool->reserved += more;
	return 0;
}

/* Append the bytes in memory to the file. */
static int spill(struct pfi_spool *spool, struct pfi_spool_store *store)
{
	size_t written = 0;
	const int r = reserve(spool, store, spool->length);

	if (r < 0)
		return r;
	while (written < spool->end) {
		const ssize_t n = pwrite(spool->fd, spool->bytes + written, spool->end - written,
		                         (off_t)(spool->length - spool->end + written));

		if (n < 0 && errno != EINTR)
			return fail(-errno, store);
		written += n > 0 ? (size_t)n : 0;
	}
	spool->end = 0;
	return 0;
}

static int grow(struct pfi_spool *spool, const struct pfi_spool_store *store, uint64_t expected)
{
	uint64_t size = spool->size > 0 ? spool->size * UINT64_C(2) : FIRST_SIZE;

	if (expected > 0)
		size = spool->end + expected;
	if (size > store->memory_max)
		size = store->memory_max;
	char *const bytes = realloc(spool->bytes, (size_t)size);
	if (bytes == NULL)
		return prefork_fail(-ENOMEM, "no memory for its body");
	spool->bytes = bytes;
	spool->size = (size_t)size;
	return 0;
}

/* No file can be created, because of `error`: use more memory instead, if that is allowed. */
static int use_fallback(struct pfi_spool *spool, struct pfi_spool_store *store, int error)
{
	const size_t more = spool->size;

	if (error == -ENOBUFS || spool->fd >= 0 || !spool->may_use_fallback)
		return error;
	if (atomic_fetch_add_explicit(&store->fallback, more, memory_order_relaxed) + more <= PFI_SPOOL_FALLBACK_MAX) {
		char *const bytes = realloc(spool->bytes, spool->size + more);

		if (bytes != NULL) {
			spool->bytes = bytes;
			spool->size += more;
			spool->fallback += more;
			return 0;
		}
	}
	(void)atomic_fetch_sub_explicit(&store->fallback, more, memory_order_relaxed);
	return prefork_fail(-ENOBUFS, "bodies without a file have reached their limit of memory");
}

int pfi_spool_space(struct pfi_spool *spool, struct pfi_spool_store *store, uint64_t expected, char **ret,
                   size_t *ret_size)
{
	int r = 0;

	if (spool->end == spool->size)
		r = spool->size < store->memory_max ? grow(spool, store, expected) : spill(spool, store);
	if (r < 0 && spool->size >= store->memory_max)
		r = use_fallback(spool, store, r);
	if (r == 0) {
		*ret = spool->bytes + spool->end;
		*ret_size = spool->size - spool->end;
	}
	return r;
}

void pfi_spool_add(struct pfi_spool *spool, size_t count)
{
	spool->end += count;
	spool->length += count;
}

void pfi_spool_end(struct pfi_spool *spool, struct pfi_spool_store *store)
{
	if (spool->fd < 0 || spill(spool, store) < 0)
		return;
	free(spool->bytes);
	spool->bytes = NULL;
	spool->size = 0;
}

ptrdiff_t pfi_spool_read(struct pfi_spool *spool, void *bytes, size_t size)
{
	const uint64_t filed = spool->length - spool->end;
	const uint64_t left = (spool->at < filed ? filed : spool->length) - spool->at;
	ssize_t n;

	if (size > left)
		size = (size_t)left;
	if (size == 0)
		return 0;
	if (spool->at >= filed) {
		memcpy(bytes, spool->bytes + (spool->at - filed), size);
		spool->at += size;
		return (ptrdiff_t)size;
	}
	do
		n = pread(spool->fd, bytes, size < SSIZE_MAX ? size : SSIZE_MAX, (off_t)spool->at);
	while (n < 0 && errno == EINTR);
	if (n <= 0) /* 0: the file is shorter than what was written to it, a disk error */
		return prefork_fail(n < 0 ? -errno : -EIO, "cannot read the body back from its file: %s",
		                    n < 0 ? strerror(errno) : "it is too short");
	spool->at += (uint64_t)n;
	return n;
}

/* All bytes are sent, and more follow: start the file from the beginning. The kernel may still be sending from the
 * pages of the file, which must not change. ftruncate(2) detaches them. */
static int rewind_file(struct pfi_spool *spool, const struct pfi_spool_store *store)
{
	if (spool->length == 0 || pfi_spool_has_more(spool))
		return 0;
	if (ftruncate(spool->fd, 0) < 0)
		return fail(-errno, store);
	spool->at = spool->length = 0;
	return 0;
}

int pfi_spool_append(struct pfi_spool *spool, struct pfi_spool_store *store, const struct iovec *pieces, int count)
{
	size_t size = 0;
	ssize_t n;
	int r = rewind_file(spool, store);

	for (int i = 0; i < count; i++)
		size += pieces[i].iov_len;
	if (r == 0)
		r = reserve(spool, store, spool->length + size);
	if (r < 0)
		return r;
	do
		n = pwritev(spool->fd, pieces, count, (off_t)spool->length);
	while (n < 0 && errno == EINTR);
	if (n < 0 || (size_t)n < size)
		return fail(n < 0 ? -errno : -ENOSPC, store);
	spool->length += size;
	return 0;
}

void pfi_spool_clear(struct pfi_spool *spool, struct pfi_spool_store *store)
{
	(void)atomic_fetch_sub_explicit(&store->reserved, spool->reserved, memory_order_relaxed);
	(void)atomic_fetch_sub_explicit(&store->fallback, spool->fallback, memory_order_relaxed);
	free(spool->bytes);
	if (spool->fd >= 0)
		(void)close(spool->fd);
	*spool = (struct pfi_spool)PFI_SPOOL_EMPTY;
}
