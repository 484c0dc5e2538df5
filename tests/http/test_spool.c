/* Spools in memory and in files, and trailer fields. */
#include "../support.h"

#include "http/chunk.h"
#include "http/spool.h"
#include "http/trailers.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static bool has_tmpfile = true;

/* open(2) as on a file system without O_TMPFILE, if has_tmpfile is false. */
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);

static bool is_refused(int flags)
{
	return !has_tmpfile && (flags & O_TMPFILE) == O_TMPFILE;
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
	errno = EOPNOTSUPP;
	return is_refused(flags) ? -1 : __real_open(path, flags, mode);
}

int __wrap_open64(const char *path, int flags, mode_t mode)
{
	errno = EOPNOTSUPP;
	return is_refused(flags) ? -1 : __real_open64(path, flags, mode);
}

static struct pfi_spool_store store = {
	.memory_max = 4096, .directory = "/tmp", .file_max = 400000, .files_max = 500000,
};

static char byte_at(size_t i)
{
	return (char)(i * 7 + i / 251);
}

static void fill(struct pfi_spool *spool, size_t total, bool is_measured)
{
	for (size_t done = 0; done < total;) {
		size_t size = 0, part;
		char *to = NULL;

		ck_assert_msg(pfi_spool_space(spool, &store, is_measured ? total - done : 0, &to, &size) == 0, "%s",
		              prefork_error());
		ck_assert_uint_gt(size, 0);
		part = size > 1 ? size / 2 + 1 : 1;
		part = part < total - done ? part : total - done;
		for (size_t i = 0; i < part; i++)
			to[i] = byte_at(done + i);
		pfi_spool_add(spool, part);
		done += part;
		ck_assert_uint_le(spool->size, store.memory_max);
	}
	pfi_spool_end(spool, &store);
}

static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 8192, 20000, 300001 };

START_TEST(bytes_are_read_back_from_memory_and_file)
{
	const size_t total = sizes[_i / 4];
	struct pfi_spool spool = PFI_SPOOL_EMPTY;
	char piece[997];
	size_t at = 0;
	ptrdiff_t n;

	has_tmpfile = _i & 2;
	fill(&spool, total, _i & 1);
	ck_assert_msg((spool.fd >= 0) == (total > store.memory_max), "%zu bytes", total);
	while ((n = pfi_spool_read(&spool, piece, sizeof piece)) > 0) {
		for (size_t i = 0; i < (size_t)n; i++)
			ck_assert_msg(piece[i] == byte_at(at + i), "byte %zu", at + i);
		at += (size_t)n;
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(at, total);
	if (spool.fd >= 0) {
		struct stat status;
		ck_assert_int_eq(fstat(spool.fd, &status), 0);
		ck_assert_uint_eq(status.st_nlink, 0); /* the file has no name */
		ck_assert_int_ne(fcntl(spool.fd, F_GETFD) & FD_CLOEXEC, 0);
		ck_assert_ptr_null(spool.bytes);
	}
	const int fd = spool.fd;
	pfi_spool_clear(&spool, &store);
	ck_assert(fd < 0 || (fcntl(fd, F_GETFD) < 0 && errno == EBADF));
	ck_assert_int_eq(pfi_spool_read(&spool, piece, sizeof piece), 0);
}
END_TEST

/* Simulates a full disk: above RLIMIT_FSIZE a write fails with EFBIG. */
START_TEST(a_full_disk_is_reported_with_its_directory)
{
	const struct rlimit limit = { 8192, 8192 };
	struct pfi_spool spool = PFI_SPOOL_EMPTY;
	size_t size;
	char *to;
	int r = 0;

	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; r == 0 && i < 10; i++) {
		r = pfi_spool_space(&spool, &store, 0, &to, &size);
		if (r == 0)
			pfi_spool_add(&spool, size);
	}
	ck_assert_int_eq(r, -EFBIG);
	ck_assert_msg(strstr(prefork_error(), "cannot write its body to a file in /tmp: ") != NULL, "%s", prefork_error());
	pfi_spool_clear(&spool, &store);
}
END_TEST

START_TEST(a_missing_directory_is_reported)
{
	struct pfi_spool_store nowhere = { .memory_max = 4096, .directory = "/nowhere/at/all", .file_max = 5000,
		                           .files_max = 5000 };
	struct pfi_spool spool = PFI_SPOOL_EMPTY;
	size_t size;
	char *to;

	ck_assert_int_eq(pfi_spool_space(&spool, &nowhere, 5000, &to, &size), 0);
	pfi_spool_add(&spool, size);
	ck_assert_int_eq(pfi_spool_space(&spool, &nowhere, 904, &to, &size), -ENOENT);
	ck_assert_msg(strstr(prefork_error(), "/nowhere/at/all") != NULL, "%s", prefork_error());
	pfi_spool_clear(&spool, &store);
}
END_TEST

/* Fills the spool up to a limit. Returns the number of bytes. */
static size_t fill_up(struct pfi_spool *spool, struct pfi_spool_store *limited)
{
	size_t size = 0, done = 0;
	char *to = NULL;
	int r;

	while ((r = pfi_spool_space(spool, limited, 0, &to, &size)) == 0) {
		for (size_t i = 0; i < size; i++)
			to[i] = byte_at(done + i);
		pfi_spool_add(spool, size);
		done += size;
		ck_assert_uint_le(done, 100000);
	}
	ck_assert_int_eq(r, -ENOBUFS);
	return done;
}

/* Each file has a limit, and all files together; bytes in the file and in memory are read back in order. */
START_TEST(a_spool_at_its_limit_keeps_its_bytes_and_releases_space)
{
	struct pfi_spool_store limited = { .memory_max = 4096, .directory = "/tmp", .file_max = 20000, .files_max = 30000 };
	struct pfi_spool spools[3] = { PFI_SPOOL_EMPTY, PFI_SPOOL_EMPTY, PFI_SPOOL_EMPTY };
	static const size_t kept[] = { 16384 + 4096, 12288 + 4096, 4096 };
	char bytes[100000];

	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(fill_up(&spools[i], &limited), kept[i]);
	for (int i = 0; i < 3; i++) {
		size_t got = 0;
		ptrdiff_t n;
		while ((n = pfi_spool_read(&spools[i], bytes + got, 1000)) > 0)
			got += (size_t)n;
		ck_assert_uint_eq(got, kept[i]);
		for (size_t at = 0; at < got; at++)
			ck_assert_msg(bytes[at] == byte_at(at), "byte %zu of %d", at, i);
	}
	pfi_spool_clear(&spools[0], &limited);
	ck_assert_uint_gt(fill_up(&spools[2], &limited), 4096); /* there is space again */
	pfi_spool_clear(&spools[1], &limited);
	pfi_spool_clear(&spools[2], &limited);
	ck_assert_uint_eq(limited.reserved, 0);
}
END_TEST

static size_t fill_memory(struct pfi_spool *spool, struct pfi_spool_store *limited)
{
	size_t size = 0, done = 0;
	char *to = NULL;

	while (done < 1 << 30 && pfi_spool_space(spool, limited, 0, &to, &size) == 0) {
		pfi_spool_add(spool, size);
		done += size;
	}
	return done;
}

/* Only if no file can be created, and not for a spool that has reached the limit of its file. */
START_TEST(without_a_file_memory_is_used_up_to_a_limit)
{
	struct pfi_spool_store nowhere = { .memory_max = 1024 * 1024, .directory = "/nowhere", .file_max = 1 << 30,
		                           .files_max = 1 << 30 };
	struct pfi_spool spools[2] = { PFI_SPOOL_EMPTY, PFI_SPOOL_EMPTY };

	ck_assert_int_lt(pfi_spool_try(&nowhere), 0);
	ck_assert_uint_eq(fill_memory(&spools[0], &nowhere), 1024 * 1024); /* without may_use_fallback */
	pfi_spool_clear(&spools[0], &nowhere);
	spools[0].may_use_fallback = spools[1].may_use_fallback = true;
	const size_t first = fill_memory(&spools[0], &nowhere);
	ck_assert_uint_gt(first, 1024 * 1024);
	ck_assert_uint_le(first, PFI_SPOOL_FALLBACK_MAX + 1024 * 1024);
	const size_t second = fill_memory(&spools[1], &nowhere);
	ck_assert_uint_le(first + second, PFI_SPOOL_FALLBACK_MAX + 2 * 1024 * 1024);
	pfi_spool_clear(&spools[0], &nowhere);
	pfi_spool_clear(&spools[1], &nowhere);
	ck_assert_uint_eq(nowhere.fallback, 0);
}
END_TEST

/* The kernel may still send from the pages of the file: they must not be overwritten. */
START_TEST(a_file_that_was_sent_restarts_on_new_pages)
{
	static char first[8192], second[8192], seen[8192];
	struct pfi_spool spool = PFI_SPOOL_EMPTY;
	struct iovec piece = { first, sizeof first };
	struct stat status;
	int line[2];

	memset(first, '1', sizeof first);
	memset(second, '2', sizeof second);
	ck_assert_int_eq(pfi_spool_append(&spool, &store, &piece, 1), 0);
	ck_assert_int_eq(pipe(line), 0);
	off_t offset = 0; /* the pipe references the pages themselves */
	ck_assert_int_eq(splice(spool.fd, &offset, line[1], NULL, sizeof first, 0), sizeof first);
	ck_assert(pfi_spool_has_more(&spool));
	spool.at = spool.length;
	ck_assert(!pfi_spool_has_more(&spool));
	piece = (struct iovec){ second, sizeof second };
	ck_assert_int_eq(pfi_spool_append(&spool, &store, &piece, 1), 0);
	ck_assert(pfi_spool_has_more(&spool));
	ck_assert_uint_eq(spool.at, 0);
	ck_assert_int_eq(fstat(spool.fd, &status), 0);
	ck_assert_int_eq(status.st_size, sizeof second);
	ck_assert_int_eq(read(line[0], seen, sizeof seen), sizeof seen);
	ck_assert_int_eq(memcmp(seen, first, sizeof seen), 0);
	ck_assert_int_eq(pread(spool.fd, seen, sizeof seen, 0), sizeof seen);
	ck_assert_int_eq(memcmp(seen, second, sizeof seen), 0);
	pfi_spool_clear(&spool, &store);
	(void)close(line[0]);
	(void)close(line[1]);
}
END_TEST

static const struct {
	const char *rest; /* of a chunked body behind its last size */
	const char *fields; /* "name=value|" for each */
	const char *kept; /* the same with underscores */
} trailers[] = {
	{ "\r\n", "", "" },
	{ "A: b\r\n\r\n", "A=b|", "A=b|" },
	{ "A:b\r\nX-Sum: \t 12 34 \t \r\n\r\n", "A=b|X-Sum=12 34|", "A=b|X-Sum=12 34|" },
	{ "Empty:\r\nBlank:   \r\nA: :\r\n\r\n", "Empty=|Blank=|A=:|", "Empty=|Blank=|A=:|" },
	{ "X_Sum: 1\r\nA: b\r\n\r\n", "A=b|", "X_Sum=1|A=b|" },
	{ "X_Sum: 1\r\n\r\n", "", "X_Sum=1|" },
	{ "Content-Type: a\r\nA: b\r\nRANGE: c\r\n\r\n", "A=b|", "A=b|" },
};

/* Byte by byte, as upload.c parses the framing between two pieces of data. */
START_TEST(trailer_fields_are_parsed)
{
	static const struct pfi_limits limits = PFI_LIMITS_DEFAULT;
	const bool underscores = _i & 1;
	const char *const wanted = underscores ? trailers[_i / 2].kept : trailers[_i / 2].fields;
	struct pfi_trailers found = { 0 };
	struct pfi_chunk chunk;
	char input[128], text[128] = "";
	const char *name, *value;
	enum pfi_verdict verdict = PFI_MORE;

	(void)snprintf(input, sizeof input, "3;a=b\r\nabc\r\n0;x\r\n%s", trailers[_i / 2].rest);
	pfi_chunk_start(&chunk, &limits);
	for (const char *at = input; *at != '\0'; at++) {
		struct pfi_span data;
		size_t used;
		verdict = pfi_chunk_feed(&chunk, at, 1, &used, &data);
		if (pfi_chunk_in_trailer(&chunk))
			ck_assert_int_eq(pfi_trailers_add(&found, *at), 0);
	}
	ck_assert_int_eq(verdict, PFI_DONE);
	pfi_trailers_end(&found, underscores);
	for (size_t i = 0; (value = pfi_trailers_at(&found, i, &name)) != NULL; i++) {
		const size_t length = strlen(text);
		(void)snprintf(text + length, sizeof text - length, "%s=%s|", name, value);
	}
	ck_assert_str_eq(text, wanted);
	pfi_trailers_clear(&found);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool");
	TCase *tc = new_case(suite, "spool");
	tcase_add_loop_test(tc, bytes_are_read_back_from_memory_and_file, 0, (int)(sizeof sizes / sizeof sizes[0]) * 4);
	tcase_add_test(tc, a_full_disk_is_reported_with_its_directory);
	tcase_add_test(tc, a_missing_directory_is_reported);
	tcase_add_test(tc, a_spool_at_its_limit_keeps_its_bytes_and_releases_space);
	tcase_add_test(tc, without_a_file_memory_is_used_up_to_a_limit);
	tcase_add_test(tc, a_file_that_was_sent_restarts_on_new_pages);
	tcase_add_loop_test(tc, trailer_fields_are_parsed, 0, (int)(sizeof trailers / sizeof trailers[0]) * 2);

	return run_suite(suite);
}
