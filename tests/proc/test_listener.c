/*
 * Listening sockets on the loopback interface and in a directory of their own.
 */
#include "listener/hand_over.h"
#include "listener/inherit.h"
#include "listener/listener.h"
#include "os/spawn.h"

#include "../support.h"

#include <prefork/error.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static struct prefork_listener *listener;
static struct pfi_listener_options options;
static char directory[64];
static char text[160]; /* "unix:DIRECTORY/s"; the path begins at byte 5 */

static void make_directory(void)
{
	options = pfi_listener_defaults;
	listener = NULL;
	(void)snprintf(directory, sizeof directory, "/tmp/prefork-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(text, sizeof text, "unix:%s/s", directory);
}

static void remove_directory(void)
{
	pfi_listener_close(listener);
	(void)unlink(text + 5);
	ck_assert_int_eq(rmdir(directory), 0); /* it is empty */
}

static bool has_ipv6(void)
{
	struct sockaddr_in6 loopback = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool has = fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof loopback) == 0;

	if (fd >= 0)
		close(fd);
	if (!has)
		fprintf(stderr, "skipped: this machine has no IPv6 loopback\n");
	return has;
}

/* Connects to `address` without blocking; 0 or errno in *error. */
static int dial(const char *address, int *error)
{
	struct pfi_address to;

	ck_assert_int_eq(pfi_address_parse(address, &to), 0);
	const int fd = socket(to.socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	*error = connect(fd, (struct sockaddr *)&to.socket, to.socket_size) < 0 ? errno : 0;
	return fd;
}

/* A socket that has this TCP address and does not listen: connections are refused. -1: the address is in use. */
static int bind_only(const char *address)
{
	struct pfi_address at;
	const int one = 1;

	ck_assert_int_eq(pfi_address_parse(address, &at), 0);
	const int fd = socket(at.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
	if (bind(fd, (const struct sockaddr *)&at.socket, at.socket_size) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Wait until the connection is established or fails: 0 or its errno. */
static int outcome(int fd)
{
	int error = 0;
	socklen_t size = sizeof error;

	ck_assert(wait_for(fd, POLLOUT, 10000));
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	return error;
}

/* Accept one, and exchange a byte each way with `client`. */
static void serve(int client)
{
	char byte = 0;

	ck_assert(wait_for(listener->fd, POLLIN, 5000));
	const int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(client, "q", 1), 1);
	ck_assert_int_eq(read(fd, &byte, 1), 1);
	ck_assert_int_eq(write(fd, "a", 1), 1);
	ck_assert(wait_for(client, POLLIN, 5000));
	ck_assert_int_eq(read(client, &byte, 1), 1);
	ck_assert_int_eq(byte, 'a');
	close(fd);
	close(client);
}

static const char *const kinds[] = { "127.0.0.1:0", "[::1]:0", "unix:", "unix:@" };

/* The address to open for one of `kinds`, or NULL when this machine lacks it. */
static const char *address_of(int kind)
{
	if (strcmp(kinds[kind], "[::1]:0") == 0)
		return has_ipv6() ? kinds[kind] : NULL;
	if (strcmp(kinds[kind], "unix:@") == 0)
		(void)snprintf(text, sizeof text, "unix:@%s", directory);
	return strncmp(kinds[kind], "unix:", 5) == 0 ? text : kinds[kind];
}

START_TEST(an_open_listener_accepts_at_its_address)
{
	const char *const address = address_of(_i);
	int error;

	if (!address)
		return;
	ck_assert_int_eq(pfi_listener_open(address, &options, &listener), 0);
	ck_assert_str_eq(prefork_listener_name(listener), address);
	ck_assert(!prefork_listener_is_inherited(listener));
	ck_assert_int_eq(fcntl(prefork_listener_fd(listener), F_GETFD), FD_CLOEXEC);
	ck_assert(fcntl(prefork_listener_fd(listener), F_GETFL) & O_NONBLOCK);
	ck_assert_ptr_null(strstr(prefork_listener_address(listener), ":0"));
	serve(dial(prefork_listener_address(listener), &error));
}
END_TEST

START_TEST(an_address_in_use_is_named)
{
	const char *const address = address_of(_i);
	struct prefork_listener *second = NULL;

	if (!address)
		return;
	ck_assert_int_eq(pfi_listener_open(address, &options, &listener), 0);
	ck_assert_int_eq(pfi_listener_open(listener->address, &options, &second), -EADDRINUSE);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(prefork_error(), listener->address));
}
END_TEST

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* In the second half of the cases, this process may not attach filters. */
static const char *address_with_filter_or_without(int index)
{
	if (index >= KINDS)
		setenv("TEST_NO_FILTER", "1", 1);
	return address_of(index % KINDS);
}

/* Connections in the backlog are served, a later one is refused, and none is reset. */
START_TEST(a_refusing_listener_serves_its_backlog_only)
{
	const char *const address = address_with_filter_or_without(_i);
	char where[PFI_ADDRESS_TEXT_MAX];
	uint64_t linger_ms = 99;
	int queued[5], error;

	if (!address)
		return;
	ck_assert_int_eq(pfi_listener_open(address, &options, &listener), 0);
	(void)snprintf(where, sizeof where, "%s", listener->address);
	for (int i = 0; i < 5; i++) {
		queued[i] = dial(where, &error);
		ck_assert_int_eq(outcome(queued[i]), 0);
	}
	ck_assert_int_eq(pfi_listener_has_pending(listener), 1);
	ck_assert_int_eq(pfi_listener_refuse(listener, &linger_ms), 0);
	ck_assert_uint_eq(linger_ms, listener->family == AF_UNIX ? 0 : 100);

	ck_assert_int_eq(pfi_listener_has_pending(listener), listener->family == AF_UNIX ? -EOPNOTSUPP : 1);

	const int late = dial(where, &error);
	ck_assert_int_eq(error, listener->family == AF_UNIX ? ECONNREFUSED : EINPROGRESS);
	for (int i = 0; i < 5; i++)
		serve(queued[i]);
	ck_assert_int_eq(accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC), -1);
	pfi_listener_close(listener);
	listener = NULL;
	if (error == EINPROGRESS) {
		/* The client sends its SYN again after 1 s: no other process may listen there by then. */
		const int reserved = bind_only(where);

		ck_assert_int_ge(reserved, 0);
		ck_assert_int_eq(outcome(late), ECONNREFUSED);
		close(reserved);
	}
	close(late);
}
END_TEST

/* A client whose first data arrives after the listener has begun to refuse is served. */
START_TEST(a_handshake_in_progress_completes)
{
	const char *const address = address_with_filter_or_without(_i);
	char where[PFI_ADDRESS_TEXT_MAX], bytes[8];
	uint64_t linger_ms;
	int error;

	if (!address || strncmp(address, "unix:", 5) == 0)
		return;
	options.defer_accept_s = 1;
	ck_assert_int_eq(pfi_listener_open(address, &options, &listener), 0);
	(void)snprintf(where, sizeof where, "%s", listener->address);
	const int client = dial(where, &error);
	ck_assert_int_eq(outcome(client), 0);
	ck_assert_int_eq(pfi_listener_refuse(listener, &linger_ms), 0);
	ck_assert_uint_gt(linger_ms, 1000);
	ck_assert_int_eq(write(client, "one", 3), 3);
	ck_assert(wait_for(listener->fd, POLLIN, 5000));
	const int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	pfi_accepted_free(listener, fd);
	for (int i = 0; i < 3; i++) {
		ck_assert(wait_for(fd, POLLIN, 5000));
		ck_assert_int_eq(read(fd, bytes, sizeof bytes), 3);
		ck_assert_int_eq(write(fd, "two", 3), 3);
		ck_assert(wait_for(client, POLLIN, 5000));
		ck_assert_int_eq(read(client, bytes, sizeof bytes), 3);
		ck_assert_int_eq(write(client, "one", 3), 3);
	}
	close(fd);
	close(client);
}
END_TEST

/* The arbiter before has begun to refuse. */
START_TEST(a_take_over_ends_a_refusal)
{
	const char *const address = address_with_filter_or_without(_i);
	struct pfi_inherited_socket inherited = { .is_bound = true, .file = -1 };
	struct prefork_listener *taken = NULL;
	uint64_t linger_ms;
	int error;

	if (!address || strncmp(address, "unix:", 5) == 0)
		return;
	ck_assert_int_eq(pfi_listener_open(address, &options, &listener), 0);
	ck_assert_int_eq(pfi_listener_refuse(listener, &linger_ms), 0);
	ck_assert_int_eq(pfi_listener_adopt(fcntl(listener->fd, F_DUPFD_CLOEXEC, 3), "old", &taken), 0);
	ck_assert_int_eq(pfi_hand_over_take(taken, &inherited, true), 0);
	pfi_listener_close(listener);
	listener = taken;
	serve(dial(listener->address, &error));
}
END_TEST

static const unsigned holders[] = { PFI_HELD_BY_STARTER, PFI_HELD_BY_PARENT, PFI_HELD_BY_CHILD, PFI_HELD_BY_STORE };

START_TEST(a_listener_that_another_process_holds_does_not_refuse)
{
	uint64_t linger_ms;
	int error;

	ck_assert_int_eq(pfi_listener_open("127.0.0.1:0", &options, &listener), 0);
	listener->held_by = holders[_i];
	ck_assert_int_eq(pfi_listener_refuse(listener, &linger_ms), -EPERM);
	ck_assert(!listener->is_refusing);
	serve(dial(listener->address, &error));
}
END_TEST

/* Wait until `length` connections are in the backlog. The client is connected when it has the second segment of the
 * handshake, the connection is in the backlog when the kernel has processed the third one. */
static void expect_backlog(uint32_t expected, uint32_t expected_max)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)patience_ms(5000);
	uint32_t length = 77, max = 0;

	do {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		ck_assert_int_eq(pfi_listener_queue(listener, &length, &max), 0);
		ck_assert_uint_le(length, expected);
	} while (length < expected && poll(NULL, 0, 1) == 0);
	ck_assert_uint_eq(max, expected_max);
}

START_TEST(the_backlog_of_a_tcp_listener_is_counted)
{
	int clients[3], error;

	options.backlog = 16;
	ck_assert_int_eq(pfi_listener_open("127.0.0.1:0", &options, &listener), 0);
	ck_assert_int_eq(pfi_listener_has_pending(listener), 0);
	for (int i = 0; i < 3; i++) {
		expect_backlog((uint32_t)i, 16);
		clients[i] = dial(listener->address, &error);
		ck_assert_int_eq(outcome(clients[i]), 0);
	}
	for (int i = 0; i < 3; i++)
		serve(clients[i]);
	ck_assert_int_eq(pfi_listener_has_pending(listener), 0);
}
END_TEST

START_TEST(the_ipv6_wildcard_accepts_ipv4_unless_v6only_is_set)
{
	char ipv4[64];
	int error, reserved = -1;

	if (!has_ipv6())
		return;
	options.ipv6_only = _i;
	do {
		pfi_listener_close(listener);
		ck_assert_int_eq(pfi_listener_open("[::]:0", &options, &listener), 0);
		(void)snprintf(ipv4, sizeof ipv4, "127.0.0.1%s", strrchr(listener->address, ':'));
		/* With v6only, another process may have this port of IPv4. */
	} while (_i && (reserved = bind_only(ipv4)) < 0);
	const int client = dial(ipv4, &error);
	ck_assert_int_eq(outcome(client), _i ? ECONNREFUSED : 0);
	if (_i) {
		close(client);
		close(reserved);
	} else {
		serve(client);
	}
}
END_TEST

static const mode_t modes[] = { 0600, 0660, 0666, 0777, 0 };

START_TEST(a_path_has_the_configured_mode_whatever_the_umask)
{
	struct stat file;

	options.mode = modes[_i];
	umask(_i % 2 ? 077 : 0);
	ck_assert_int_eq(pfi_listener_open(text, &options, &listener), 0);
	ck_assert_int_eq(lstat(text + 5, &file), 0);
	ck_assert_uint_eq(file.st_mode & 07777, modes[_i]);
}
END_TEST

START_TEST(a_path_has_the_configured_owner)
{
	struct stat file;

	if (getuid() != 0) {
		fprintf(stderr, "skipped: only root can change the owner of a file\n");
		return;
	}
	options.uid = 65534;
	options.gid = 65533;
	ck_assert_int_eq(pfi_listener_open(text, &options, &listener), 0);
	ck_assert_int_eq(lstat(text + 5, &file), 0);
	ck_assert_uint_eq(file.st_uid, 65534);
	ck_assert_uint_eq(file.st_gid, 65533);
}
END_TEST

/* The path of a server that was killed must not prevent the next start. */
START_TEST(a_stale_path_is_replaced)
{
	ck_assert_int_eq(pfi_listener_open(text, &options, &listener), 0);
	pfi_close(&listener->fd); /* killed: the path stays */
	struct prefork_listener *dead = listener;
	ck_assert_int_eq(access(text + 5, F_OK), 0);
	ck_assert_int_eq(pfi_listener_open(text, &options, &listener), 0);

	/* The first listener removes only its own path. */
	pfi_listener_close(dead);
	ck_assert_int_eq(access(text + 5, F_OK), 0);
	pfi_listener_close(listener);
	listener = NULL;
	ck_assert_int_ne(access(text + 5, F_OK), 0);
}
END_TEST

START_TEST(a_path_that_is_not_a_socket_is_not_removed)
{
	struct stat file;
	const int fd = open(text + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	ck_assert_int_eq(pfi_listener_open(text, &options, &listener), -EEXIST);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "not a socket"));
	ck_assert_int_eq(lstat(text + 5, &file), 0);
	ck_assert(S_ISREG(file.st_mode));
}
END_TEST

START_TEST(a_missing_directory_is_named)
{
	ck_assert_int_eq(pfi_listener_open("unix:/nonexistent/directory/s", &options, &listener), -ENOENT);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "/nonexistent/directory/s"));
}
END_TEST

START_TEST(an_address_of_another_machine_is_refused_with_its_cause)
{
	ck_assert_int_eq(pfi_listener_open("192.0.2.1:0", &options, &listener), -EADDRNOTAVAIL);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "no interface"));
}
END_TEST

static int close_in_child(void *arg)
{
	pfi_listener_close(arg);
	return 0;
}

START_TEST(a_worker_that_closes_removes_no_path)
{
	struct pfi_child child;
	int status = -1;

	ck_assert_int_eq(pfi_listener_open(text, &options, &listener), 0);
	ck_assert_int_eq(pfi_spawn(close_in_child, listener, &child), 0);
	ck_assert_int_eq(waitpid(child.pid, &status, 0), child.pid);
	ck_assert_int_eq(status, 0);
	close(child.pidfd);
	ck_assert_int_eq(access(text + 5, F_OK), 0);
}
END_TEST

START_TEST(a_listening_descriptor_is_adopted)
{
	struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t linger_ms;
	int error;
	char name[32];

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&loopback, sizeof loopback), 0);
	(void)snprintf(name, sizeof name, "fd://%d", fd);
	ck_assert_int_eq(pfi_listener_open(name, &options, &listener), -EINVAL);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "does not listen"));
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(pfi_listener_open(name, &options, &listener), 0);
	ck_assert(prefork_listener_is_inherited(listener));
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	serve(dial(listener->address, &error));
	/* Other processes may share it: it must not be shut down. */
	ck_assert_int_eq(pfi_listener_refuse(listener, &linger_ms), -EPERM);
}
END_TEST

START_TEST(a_descriptor_that_is_not_a_listener_is_not_adopted)
{
	int fds[3] = { -1, -1, -1 };

	ck_assert_int_eq(pipe(fds), 0);
	fds[2] = socket(AF_INET, SOCK_DGRAM, 0);
	ck_assert_int_eq(pfi_listener_adopt(fds[0], "x", &listener), -EINVAL);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "not a socket"));
	ck_assert_int_eq(pfi_listener_adopt(fds[2], "x", &listener), -EINVAL);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "stream socket"));
	ck_assert_int_eq(pfi_listener_adopt(99999, "x", &listener), -EBADF);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(close(fds[i]), 0); /* they are still open */
}
END_TEST

#define ADD_TABLE(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof table / sizeof table[0]))

int main(void)
{
	Suite *suite = suite_create("listener");
	TCase *tc = new_case(suite, "listener");

	tcase_add_checked_fixture(tc, make_directory, remove_directory);
	ADD_TABLE(tc, an_open_listener_accepts_at_its_address, kinds);
	ADD_TABLE(tc, an_address_in_use_is_named, kinds);
	tcase_add_loop_test(tc, a_refusing_listener_serves_its_backlog_only, 0, 2 * KINDS);
	tcase_add_loop_test(tc, a_handshake_in_progress_completes, 0, 2 * KINDS);
	tcase_add_loop_test(tc, a_take_over_ends_a_refusal, 0, 2 * KINDS);
	tcase_add_loop_test(tc, a_listener_that_another_process_holds_does_not_refuse, 0, sizeof holders / sizeof holders[0]);
	tcase_add_test(tc, the_backlog_of_a_tcp_listener_is_counted);
	tcase_add_loop_test(tc, the_ipv6_wildcard_accepts_ipv4_unless_v6only_is_set, 0, 2);
	ADD_TABLE(tc, a_path_has_the_configured_mode_whatever_the_umask, modes);
	tcase_add_test(tc, a_path_has_the_configured_owner);
	tcase_add_test(tc, a_stale_path_is_replaced);
	tcase_add_test(tc, a_path_that_is_not_a_socket_is_not_removed);
	tcase_add_test(tc, a_missing_directory_is_named);
	tcase_add_test(tc, an_address_of_another_machine_is_refused_with_its_cause);
	tcase_add_test(tc, a_worker_that_closes_removes_no_path);
	tcase_add_test(tc, a_listening_descriptor_is_adopted);
	tcase_add_test(tc, a_descriptor_that_is_not_a_listener_is_not_adopted);
	return run_suite(suite);
}
