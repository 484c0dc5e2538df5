/* TLS in the arbiter: what is repeated for workers that take nothing, what a reload leaves, and the memory of keys. */
#include "../support.h"

#include "tls/tls_kernel.h"
#include "tls/tls_names.h"
#include "tls/tls_push.h"
#include "tls/tls_server.h"
#include "tls/tls_turn.h"

#include <prefork/arbiter.h>
#include <prefork/log.h>

#include <openssl/x509v3.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>

static struct prefork_tls *tls;
static int send_result, sends, lines, memfd_error, ulp_error, bytes_to_read = -1;
static void (*on_timer)(struct prefork_arbiter *arbiter, int fd, void *user);

/* In place of an arbiter and of system calls. */

int __real_memfd_create(const char *name, unsigned flags);
ssize_t __real_pread64(int fd, void *bytes, size_t size, off_t offset);
int __wrap_memfd_create(const char *name, unsigned flags);
ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_prefork_process_send(const struct prefork_process *process, const char *topic, int fd);
struct prefork_log *__wrap_prefork_arbiter_log(const struct prefork_arbiter *arbiter);
int __wrap_prefork_arbiter_watch(struct prefork_arbiter *arbiter, int fd, void (*function)(struct prefork_arbiter *, int, void *),
				 void *user);
void __wrap_prefork_arbiter_unwatch(struct prefork_arbiter *arbiter, int fd);
int __wrap_prefork_arbiter_keep_fd(struct prefork_arbiter *arbiter, const char *name, int fd);
int __wrap_prefork_arbiter_kept_fd(const struct prefork_arbiter *arbiter, const char *name);
void __wrap_prefork_log_write(struct prefork_log *log, enum prefork_log_level level, const char *module,
			      const struct prefork_log_pair *pairs, size_t count, const char *format, ...);

int __wrap_memfd_create(const char *name, unsigned flags)
{
	if (memfd_error == 0 || (memfd_error == EINVAL && (flags & 8) == 0)) /* a kernel without MFD_NOEXEC_SEAL */
		return __real_memfd_create(name, flags);
	errno = memfd_error;
	return -1;
}

ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset)
{
	if (bytes_to_read < 0)
		return __real_pread64(fd, bytes, size, offset);
	if (offset >= bytes_to_read) {
		errno = EIO;
		return -1;
	}
	return __real_pread64(fd, bytes, size < (size_t)bytes_to_read ? size : (size_t)bytes_to_read, offset);
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	ck_assert_int_ge(fd, 0);
	ck_assert(level == IPPROTO_TCP && option == TCP_ULP && size == 4 && strcmp(value, "tls") == 0);
	errno = ulp_error;
	return ulp_error == 0 ? 0 : -1;
}

int __wrap_prefork_process_send(const struct prefork_process *process, const char *topic, int fd)
{
	(void)process, (void)topic, (void)fd;
	sends++;
	return send_result;
}

struct prefork_log *__wrap_prefork_arbiter_log(const struct prefork_arbiter *arbiter)
{
	(void)arbiter;
	return NULL;
}

/* The timer is watched first. */
int __wrap_prefork_arbiter_watch(struct prefork_arbiter *arbiter, int fd, void (*function)(struct prefork_arbiter *, int, void *),
				 void *user)
{
	(void)arbiter, (void)fd, (void)user;
	if (on_timer == NULL)
		on_timer = function;
	return 0;
}

void __wrap_prefork_arbiter_unwatch(struct prefork_arbiter *arbiter, int fd)
{
	(void)arbiter;
	(void)close(fd);
}

int __wrap_prefork_arbiter_keep_fd(struct prefork_arbiter *arbiter, const char *name, int fd)
{
	(void)arbiter, (void)name;
	(void)close(fd);
	return 0;
}

int __wrap_prefork_arbiter_kept_fd(const struct prefork_arbiter *arbiter, const char *name)
{
	(void)arbiter, (void)name;
	return -1;
}

void __wrap_prefork_log_write(struct prefork_log *log, enum prefork_log_level level, const char *module,
			      const struct prefork_log_pair *pairs, size_t count, const char *format, ...)
{
	(void)log, (void)level, (void)module, (void)pairs, (void)count, (void)format;
	lines++;
}

static void open_tls(void)
{
	ck_assert_int_eq(pfi_tls_server_create(NULL, &tls), 0);
	ck_assert_int_eq(pfi_tls_turn_begin(tls), 0);
}

static void close_tls(void)
{
	pfi_tls_turn_end(tls);
	pfi_tls_server_destroy(tls);
}

/* The material of settings that name this certificate. */
static struct pfi_tls_material *material(const char *certfile)
{
	const struct pfi_tls_settings values = { .certfile = certfile };
	struct pfi_tls_material *it;

	ck_assert_int_eq(pfi_tls_server_material(tls, &values, &it), 0);
	return it;
}

/* A worker that lacks the newest certificates. */
static void add_worker(void)
{
	struct pfi_tls_material *const it = material("a");

	ck_assert_int_eq(pfi_tls_push_add(tls, (struct prefork_process *)(void *)&sends, it), 0);
	it->version++;
}

/* The time for the next attempt has come: `wait_ms` later there is another one. */
static void expect_wait(uint64_t wait_ms, bool is_repeated)
{
	const uint64_t before_ms = pfi_now_ms();

	if (is_repeated) {
		tls->push_at_ms = 1;
		on_timer(NULL, tls->timer, tls);
	} else {
		pfi_tls_turn_push(tls);
	}
	ck_assert_uint_ge(tls->push_at_ms, before_ms + wait_ms);
	ck_assert_uint_le(tls->push_at_ms, pfi_now_ms() + wait_ms);
}

START_TEST(a_worker_that_takes_nothing_gets_it_less_and_less_often)
{
	add_worker();
	send_result = -EAGAIN;
	expect_wait(100, false);
	for (uint64_t wait_ms = 200; wait_ms <= 12800; wait_ms *= 2)
		expect_wait(wait_ms, true);
	expect_wait(12800, true);
	expect_wait(100, false); /* another change */
	ck_assert_int_eq(sends, 10);
	send_result = 0;
	tls->push_at_ms = 1;
	on_timer(NULL, tls->timer, tls);
	ck_assert_uint_eq(tls->push_at_ms, 0);
	ck_assert_int_eq(lines, 0);
}
END_TEST

START_TEST(a_memfd_that_cannot_be_made_is_logged_once_until_it_succeeds)
{
	add_worker();
	for (int round = 1; round <= 2; round++) {
		memfd_error = EMFILE;
		for (int i = 0; i < 5; i++)
			pfi_tls_turn_push(tls);
		ck_assert_int_eq(lines, round);
		ck_assert_uint_gt(tls->push_at_ms, 0);
		memfd_error = 0;
		pfi_tls_turn_push(tls);
		ck_assert_int_eq(sends, round);
		material("a")->version++;
	}
}
END_TEST

START_TEST(a_kernel_without_memfds_that_are_not_executable_makes_others)
{
	add_worker();
	memfd_error = EINVAL;
	pfi_tls_turn_push(tls);
	ck_assert_int_eq(sends, 1);
}
END_TEST

static void expect_materials(const char *names)
{
	char found[8] = "";

	for (const struct pfi_tls_material *it = tls->materials; it != NULL; it = it->next) {
		ck_assert(it->is_wanted);
		(void)strncat(found, it->values.certfile, sizeof found - strlen(found) - 1);
	}
	ck_assert_str_eq(found, names);
}

static void want(const char *certfile)
{
	material(certfile)->is_wanted = true;
}

START_TEST(a_reload_that_failed_leaves_what_was_there)
{
	want("a");
	pfi_tls_server_end_reload(tls, false); /* settings that cannot be read: it has not begun here */
	expect_materials("a");
	pfi_tls_server_begin_reload(tls, NULL);
	want("b");
	pfi_tls_server_end_reload(tls, false);
	expect_materials("a");
	pfi_tls_server_begin_reload(tls, NULL);
	want("b");
	pfi_tls_server_begin_reload(tls, NULL); /* another one supersedes it */
	want("c");
	pfi_tls_server_end_reload(tls, _i == 1);
	expect_materials(_i == 1 ? "c" : "ba"); /* it may return to either */
	pfi_tls_server_begin_reload(tls, NULL);
	want("d");
	pfi_tls_server_end_reload(tls, true);
	expect_materials("d");
}
END_TEST

START_TEST(a_material_stays_until_its_last_worker_has_exited)
{
	add_worker();
	want("a");
	pfi_tls_server_begin_reload(tls, NULL);
	want("b");
	pfi_tls_server_end_reload(tls, true);
	ck_assert_ptr_nonnull(tls->materials->next);
	pfi_tls_push_remove(tls, (struct prefork_process *)(void *)&sends);
	pfi_tls_server_sweep(tls);
	expect_materials("b");
}
END_TEST

START_TEST(a_key_that_was_read_in_part_does_not_stay_in_memory)
{
	struct pfi_tls_records records = { 0 };
	FILE *const file = tmpfile();
	char path[64];
	size_t size;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_gt(fprintf(file, "secret secret secret"), 0);
	ck_assert_int_eq(fflush(file), 0);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
	ck_assert_int_eq(pfi_tls_records_add(&records, PFI_TLS_RECORD_PAIR, "name", 4), 0);
	size = records.size;
	bytes_to_read = 10;
	ck_assert_int_eq(pfi_tls_records_add_file(&records, PFI_TLS_RECORD_KEY, path), -EIO);
	ck_assert_uint_eq(records.size, size);
	ck_assert_ptr_null(memmem(records.bytes, records.capacity, "secret", 6));
	pfi_tls_records_clear(&records);
	ck_assert_int_eq(fclose(file), 0);
}
END_TEST

/* The certificates of one server, in their order; and the one that each is joined with, or itself. */
static const struct {
	const char *names;
	size_t pair;
} certificates[] = {
	{ "DNS:a.example,DNS:b.example", 0 },
	{ "DNS:b.example", 1 },
	{ "DNS:b.example,DNS:A.example", 0 },
	{ "DNS:*.example", 3 },
	{ "DNS:*.example,DNS:*.EXAMPLE", 3 }, /* twice the same */
	{ "IP:127.0.0.1", 5 },                /* no name */
	{ "DNS:d.example", 6 },
	{ "DNS:d.example,DNS:e.example", 7 },
	{ "DNS:e.example,DNS:d.example", 7 }, /* d belongs to another one */
	{ "DNS:e.example,DNS:f.example", 9 },
	{ "IP:127.0.0.1", 10 },
};

enum { CERTIFICATES = sizeof certificates / sizeof certificates[0] };

static int add_names(struct pfi_tls_names *names, const char *text, size_t index)
{
	X509 *const certificate = X509_new();
	X509_EXTENSION *const extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	int r;

	ck_assert(certificate != NULL && extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
	r = pfi_tls_names_add(names, certificate, index);
	X509_EXTENSION_free(extension);
	X509_free(certificate);
	return r;
}

START_TEST(certificates_with_the_same_names_are_a_pair)
{
	struct pfi_tls_names names = { 0 };

	for (size_t i = 0; i < CERTIFICATES; i++)
		ck_assert_int_eq(add_names(&names, certificates[i].names, i), 0);
	ck_assert_int_eq(pfi_tls_names_sort(&names), 0);
	for (size_t i = 0; i < CERTIFICATES; i++)
		ck_assert_uint_eq(pfi_tls_names_pair(&names, i), certificates[i].pair);
	ck_assert_uint_eq(pfi_tls_names_find(&names, "b.example", 99), 0);
	ck_assert_uint_eq(pfi_tls_names_find(&names, "e.example", 99), 7);
	ck_assert_uint_eq(pfi_tls_names_find(&names, "x.example", 99), 3);
	ck_assert_uint_eq(pfi_tls_names_find(&names, "example", 99), 99);
	pfi_tls_names_free(&names);
	ck_assert_uint_eq(pfi_tls_names_find(&names, "b.example", 99), 99);
}
END_TEST

static const struct {
	int error;
	bool has_tls;
} ulp_errors[] = {
	{ ENOTCONN, true }, { 0, true }, { ENOENT, false }, { ENOPROTOOPT, false }, { EPERM, false },
};

START_TEST(the_kernel_has_tls_if_it_only_lacks_a_connection)
{
	ulp_error = ulp_errors[_i].error;
	ck_assert(pfi_tls_kernel_has_tls() == ulp_errors[_i].has_tls);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("tls_arbiter");
	TCase *const tc = new_case(suite, "tls_arbiter");

	tcase_add_checked_fixture(tc, open_tls, close_tls);
	tcase_add_test(tc, a_worker_that_takes_nothing_gets_it_less_and_less_often);
	tcase_add_test(tc, a_memfd_that_cannot_be_made_is_logged_once_until_it_succeeds);
	tcase_add_test(tc, a_kernel_without_memfds_that_are_not_executable_makes_others);
	tcase_add_loop_test(tc, a_reload_that_failed_leaves_what_was_there, 0, 2);
	tcase_add_test(tc, a_material_stays_until_its_last_worker_has_exited);
	tcase_add_test(tc, a_key_that_was_read_in_part_does_not_stay_in_memory);
	tcase_add_test(tc, certificates_with_the_same_names_are_a_pair);
	tcase_add_loop_test(tc, the_kernel_has_tls_if_it_only_lacks_a_connection, 0, sizeof ulp_errors / sizeof ulp_errors[0]);
	return run_suite(suite);
}
