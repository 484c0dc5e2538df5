/* Collects the contents of files as records, and passes them between processes in a sealed memfd. */
#include "tls/tls_records.h"

#include <prefork/error.h>

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HEAD_SIZE = 2 * sizeof(uint32_t),
	FILE_MAX = 1 << 20,
	RECORDS_MAX = 1 << 28,
	NOEXEC_SEAL = 0x8, /* MFD_NOEXEC_SEAL of linux/memfd.h, which glibc does not define before 2.38 */
	SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

/* Not realloc(3), which would leave a copy of keys behind. */
static int reserve(struct pfi_tls_records *records, size_t size)
{
	const size_t needed = records->size + HEAD_SIZE + size;
	size_t capacity = records->capacity > 0 ? records->capacity : 4096;

	if (needed > RECORDS_MAX)
		return -E2BIG;
	if (needed <= records->capacity)
		return 0;
	while (capacity < needed)
		capacity *= 2;
	struct pfi_tls_records more = { malloc(capacity), records->size, capacity };

	if (more.bytes == NULL)
		return -ENOMEM;
	if (records->size > 0)
		memcpy(more.bytes, records->bytes, records->size);
	pfi_tls_records_clear(records);
	*records = more;
	return 0;
}

/* Space for a record of `size` bytes, which the caller fills in; NULL: none. */
static char *append(struct pfi_tls_records *records, enum pfi_tls_record_type type, size_t size)
{
	const uint32_t head[2] = { type, (uint32_t)size };

	if (reserve(records, size) < 0)
		return NULL;
	char *const at = records->bytes + records->size;

	memcpy(at, head, sizeof head);
	records->size += HEAD_SIZE + size;
	return at + HEAD_SIZE;
}

int pfi_tls_records_add(struct pfi_tls_records *records, enum pfi_tls_record_type type, const void *bytes, size_t size)
{
	char *const at = append(records, type, size);

	if (at == NULL)
		return prefork_fail(-ENOMEM, "no memory for certificates and keys");
	if (size > 0)
		memcpy(at, bytes, size);
	return 0;
}

static int read_all(int fd, char *bytes, size_t size)
{
	for (size_t at = 0; at < size;) {
		const ssize_t n = pread(fd, bytes + at, size - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO; /* it was truncated meanwhile */
		at += (size_t)n;
	}
	return 0;
}

/* What was read of a file may be a part of its key. */
static void shorten(struct pfi_tls_records *records, size_t size)
{
	if (records->size > size)
		OPENSSL_cleanse(records->bytes + size, records->size - size);
	records->size = size;
}

/* O_NONBLOCK: open(2) of a FIFO must not wait for its writer. */
int pfi_tls_records_add_file(struct pfi_tls_records *records, enum pfi_tls_record_type type, const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const size_t before = records->size;
	struct stat status;
	int r = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;

	if (r == 0 && !S_ISREG(status.st_mode))
		r = prefork_fail(-EINVAL, "%s is not a regular file", path);
	else if (r == 0 && status.st_size > FILE_MAX)
		r = prefork_fail(-EFBIG, "%s has more than 1 MiB", path);
	else if (r < 0)
		(void)prefork_fail(r, "%s: %s", path, strerror(-r));
	if (r == 0) {
		char *const at = append(records, type, (size_t)status.st_size);

		r = at == NULL ? -ENOMEM : read_all(fd, at, (size_t)status.st_size);
		if (r < 0)
			(void)prefork_fail(r, "%s: %s", path, strerror(-r));
	}
	if (r < 0)
		shorten(records, before);
	if (fd >= 0)
		(void)close(fd);
	return r;
}

bool pfi_tls_record_next(struct pfi_tls_record *record)
{
	const struct pfi_tls_records *const records = record->records;
	uint32_t head[2];

	if (records->size - record->at < HEAD_SIZE)
		return false;
	memcpy(head, records->bytes + record->at, sizeof head);
	if (head[1] > records->size - record->at - HEAD_SIZE)
		return false;
	record->type = (enum pfi_tls_record_type)head[0];
	record->bytes = records->bytes + record->at + HEAD_SIZE;
	record->size = head[1];
	record->at += HEAD_SIZE + head[1];
	return true;
}

bool pfi_tls_records_equal(const struct pfi_tls_records *a, const struct pfi_tls_records *b)
{
	return a->size == b->size && (a->size == 0 || CRYPTO_memcmp(a->bytes, b->bytes, a->size) == 0);
}

void pfi_tls_records_clear(struct pfi_tls_records *records)
{
	if (records->bytes != NULL)
		OPENSSL_cleanse(records->bytes, records->size);
	free(records->bytes);
	*records = (struct pfi_tls_records){ 0 };
}

static int write_all(int fd, const char *bytes, size_t size)
{
	for (size_t at = 0; at < size;) {
		const ssize_t n = write(fd, bytes + at, size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}

/* With the sysctl vm.memfd_noexec=2 (Linux 6.3), a memfd that could be executed is refused (EACCES); older kernels do not
 * have the flag (EINVAL). */
static int create_memfd(void)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	const int fd = memfd_create("prefork-tls", flags | NOEXEC_SEAL);

	return fd < 0 && errno == EINVAL ? memfd_create("prefork-tls", flags) : fd;
}

int pfi_tls_records_seal(const struct pfi_tls_records *first, const struct pfi_tls_records *second)
{
	const int fd = create_memfd();
	int r = fd < 0 ? -errno : write_all(fd, first->bytes, first->size);

	if (r == 0)
		r = write_all(fd, second->bytes, second->size);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		r = -errno;
	if (r == 0)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return prefork_fail(r, "cannot make a memfd for certificates and keys: %s", strerror(-r));
}

int pfi_tls_records_open(int fd, struct pfi_tls_records *ret)
{
	struct pfi_tls_records records = { 0 };
	struct stat status;
	const int seals = fcntl(fd, F_GET_SEALS);
	int r = 0;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return prefork_fail(-EPERM, "descriptor %d is not a sealed memfd", fd);
	if (fstat(fd, &status) < 0 || status.st_size > RECORDS_MAX)
		return prefork_fail(-EINVAL, "the memfd with certificates and keys cannot be read");
	records.size = records.capacity = (size_t)status.st_size;
	records.bytes = malloc(records.capacity + 1);
	r = records.bytes == NULL ? -ENOMEM : read_all(fd, records.bytes, records.size);
	if (r < 0) {
		pfi_tls_records_clear(&records);
		return prefork_fail(r, "the memfd with certificates and keys cannot be read: %s", strerror(-r));
	}
	*ret = records;
	return 0;
}
