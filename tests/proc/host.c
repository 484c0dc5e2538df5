#include "host.h"

#include "../support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { LIMIT_MS = 30000 };

struct prefork_arbiter *host;
struct host_seen host_seen;
struct host_orders *host_orders;

bool host_is_loud;

enum { EXITS_KEPT = 64 };

static struct prefork_settings *settings;
static bool has_pool;
static pid_t exits[EXITS_KEPT]; /* the last ones, each at its number */

/* Runs in the worker. */
static enum prefork_next respond(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char line[64], text[64];
	const ssize_t n = prefork_connection_read(connection, line, sizeof line - 1);

	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	line[n] = 0;
	prefork_worker_count_request(worker);
	if (strncmp(line, "die", 3) == 0)
		_exit(9);
	if (strncmp(line, "leave", 5) == 0) {
		prefork_worker_retire(worker);
		return prefork_connection_write(connection, "bye\n", 4);
	}
	const int length = snprintf(text, sizeof text, "%d %u\n", (int)getpid(), prefork_worker_generation(worker));
	return prefork_connection_write(connection, text, (size_t)length);
}

const struct prefork_service host_service = {
	.struct_size = sizeof host_service, .traits = PREFORK_SERVICE_CLIENT_FIRST, .ready = respond,
};

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)user;
	host_seen.ready++;
	host_seen.last_ready = prefork_process_pid(process);
}

static void on_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)user;
	host_seen.last_exited = prefork_process_pid(process);
	exits[host_seen.exited++ % EXITS_KEPT] = host_seen.last_exited;
	host_seen.reason = prefork_process_reason(process);
}

static void on_reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)arbiter;
	(void)user;
	host_seen.verdicts++;
	host_seen.verdict = verdict;
	(void)snprintf(host_seen.why, sizeof host_seen.why, "%s", why);
}

static bool is_held(const struct prefork_worker *worker)
{
	const int first = atomic_load(&host_orders->boots_wait);

	return first != 0 && (int)prefork_worker_generation(worker) >= first;
}

/* Runs in the worker. */
static int on_worker_start(struct prefork_worker *worker, void *user)
{
	struct pollfd wait = { .fd = prefork_worker_fd(worker), .events = POLLIN };

	(void)user;
	while (is_held(worker) && prefork_worker_check(worker) == PREFORK_CONTINUE)
		(void)poll(&wait, 1, 5);
	return atomic_load(&host_orders->boots_fail) ? prefork_fail(PREFORK_EAPP, "boots_fail is set") : 0;
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks,
	.worker_ready = on_ready,
	.worker_exited = on_exited,
	.reload_end = on_reload_end,
	.worker_start = on_worker_start,
};

void host_create(const char *const *words)
{
	const char *argv[40] = { "test", "--canary-time", "50ms", "--drain-idle", "0" };
	int argc = 5;

	if (!host_is_loud)
		(void)setenv("PREFORK_LOGLEVEL", "warning", 1);

	while (*words && argc < 40)
		argv[argc++] = *words++;
	host_seen = (struct host_seen){ 0 };
	has_pool = false;
	host_orders = mmap(NULL, sizeof *host_orders, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(host_orders, MAP_FAILED);
	ck_assert_msg(prefork_settings_load(argc, (char *const *)(uintptr_t)argv, &settings) == 0, "%s", prefork_error());
	ck_assert_int_eq(prefork_arbiter_create(settings, &host), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(host, &hooks, NULL), 0);
}

static void add_pool(void)
{
	/* -EEXIST: the test has added its own. */
	const int r = prefork_arbiter_add_service(host, "web", &host_service, NULL);

	ck_assert(r == 0 || r == -EEXIST);
}

void host_start(void)
{
	add_pool();
	ck_assert_msg(prefork_arbiter_start(host) == 0, "%s", prefork_error());
	ck_assert_int_eq(host_until(&host_seen.ready, (int)prefork_settings_int(settings, "workers")), 1);
}

void host_expect_refused(int error, const char *message)
{
	add_pool();
	const int r = prefork_arbiter_start(host);
	ck_assert_msg(r == error && strstr(prefork_error(), message), "%d: %s", r, prefork_error());
	ck_assert_ptr_null(prefork_arbiter_listener(host, 0));
}

int host_until(const int *counter, int least)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(LIMIT_MS);
	int r = 1;

	while (r == 1 && *counter < least) {
		ck_assert_msg(pfi_now_ms() < end_ms, "waited too long");
		(void)wait_for(prefork_arbiter_fd(host), POLLIN, 1000);
		r = prefork_arbiter_dispatch(host);
	}
	return r;
}

static bool has_exited(pid_t pid)
{
	for (int i = 0; i < EXITS_KEPT && i < host_seen.exited; i++) {
		if (exits[i] == pid)
			return true;
	}
	return false;
}

/* It may have exited during an earlier turn. */
void host_until_exited(pid_t pid)
{
	while (!has_exited(pid))
		ck_assert_int_eq(host_until(&host_seen.exited, host_seen.exited + 1), 1);
}

void host_scale(unsigned workers)
{
	ck_assert_int_eq(prefork_arbiter_request_scale(host, 0, workers), 0);
	host_turn();
}

void host_turn(void)
{
	ck_assert_int_eq(prefork_arbiter_dispatch(host), 1);
}

void host_stop(void)
{
	static const int never = 0;

	prefork_arbiter_request_stop(host, true);
	ck_assert_int_eq(host_until(&never, 1), 0);
}

void host_close(void)
{
	prefork_arbiter_destroy(host);
	prefork_settings_destroy(settings);
	(void)munmap(host_orders, sizeof *host_orders);
	host = NULL;
	settings = NULL;
}

static bool is_free(int port)
{
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool is = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
			bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;

	(void)close(fd);
	return is;
}

enum { LOWEST_PORT = 10000, PORTS = 100 };

static int claimed_port; /* the first of PORTS; 0: none */

static bool claim(int block)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	const int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "prefork-tests-ports-%d", block);
	const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (const struct sockaddr *)&name, size) == 0)
		return true; /* `fd` stays open */
	(void)close(fd);
	return false;
}

void host_claim_ports(void)
{
	FILE *const range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	int end = 0;

	if (range) {
		(void)!fscanf(range, "%d", &end);
		(void)fclose(range);
	}
	const int blocks = (end - LOWEST_PORT) / PORTS;
	for (int i = 0; i < blocks && claimed_port == 0; i++) {
		const int block = (getpid() + i) % blocks;

		if (claim(block))
			claimed_port = LOWEST_PORT + block * PORTS;
	}
}

int host_fixed_port(void)
{
	ck_assert_msg(claimed_port > 0, "the kernel gives all ports to clients, or other tests have them");
	for (int i = 0; i < PORTS; i++) {
		const int port = claimed_port + i;

		if (is_free(port))
			return port;
	}
	ck_abort_msg("no port is free");
}

const char *host_address(size_t index)
{
	const struct prefork_listener *const listener = prefork_arbiter_listener(host, index);

	ck_assert_ptr_nonnull(listener);
	return prefork_listener_address(listener);
}

int host_connect(const char *address)
{
	const struct timeval limit = { .tv_sec = patience_ms(LIMIT_MS) / 1000 };
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
		struct sockaddr_un local;
	} to = { 0 };
	const char *const colon = strrchr(address, ':');
	const bool is_ipv6 = *address == '[';
	socklen_t size = is_ipv6 ? sizeof to.ipv6 : sizeof to.ipv4;
	char text[64];

	(void)snprintf(text, sizeof text, "%.*s", (int)(colon - address) - 2 * is_ipv6, address + is_ipv6);
	if (strncmp(address, "unix:", 5) == 0) {
		to.local.sun_family = AF_UNIX;
		(void)snprintf(to.local.sun_path, sizeof to.local.sun_path, "%s", address + 5);
		size = sizeof to.local;
	} else if (is_ipv6) {
		to.ipv6.sin6_family = AF_INET6;
		to.ipv6.sin6_port = htons((uint16_t)atoi(colon + 1));
		(void)inet_pton(AF_INET6, text, &to.ipv6.sin6_addr);
	} else {
		to.ipv4.sin_family = AF_INET;
		to.ipv4.sin_port = htons((uint16_t)atoi(colon + 1));
		(void)inet_pton(AF_INET, text, &to.ipv4.sin_addr);
	}
	const int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, &to.any, size) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* Receives the response to "who" and closes `fd`. Returns the pid, or -1 with errno, which is 0 if the server closed it. */
static pid_t receive_who(int fd, unsigned *ret_generation)
{
	char text[64] = "";
	unsigned generation = 0;
	int pid = -1;
	ssize_t n;

	do /* with a time limit it is never restarted, and a stop signal or a debugger interrupts it (signal(7)) */
		n = recv(fd, text, sizeof text - 1, 0);
	while (n < 0 && errno == EINTR);
	const int error = n < 0 ? errno : 0;

	if (n <= 0 || sscanf(text, "%d %u", &pid, &generation) != 2)
		pid = -1;
	(void)close(fd);
	errno = error;
	if (ret_generation)
		*ret_generation = generation;
	return pid;
}

int host_request(const char *address)
{
	const int fd = host_connect(address);

	if (fd >= 0)
		(void)!send(fd, "who\n", 4, MSG_NOSIGNAL);
	return fd;
}

pid_t host_receive(int fd)
{
	return receive_who(fd, NULL);
}

pid_t host_who(const char *address, unsigned *ret_generation)
{
	const int fd = host_request(address);

	return fd < 0 ? 0 : receive_who(fd, ret_generation);
}

enum { AT_ONCE = 10 };

/* AT_ONCE concurrent requests. Returns false if `address` refuses connections. */
static bool request_together(const char *address, struct host_report *seen)
{
	int fds[AT_ONCE];
	bool refused = false;

	for (int i = 0; i < AT_ONCE; i++) {
		fds[i] = refused ? -1 : host_request(address);
		refused |= fds[i] < 0;
	}
	for (int i = 0; i < AT_ONCE; i++) {
		if (fds[i] < 0)
			continue;
		if (receive_who(fds[i], NULL) > 0)
			seen->served++;
		else {
			seen->broken++;
			seen->error = errno;
		}
	}
	return !refused;
}

/* Runs in a child of its own. */
static void keep_requesting(const char *address, const char *next, int stop, int report, _Atomic unsigned *served)
{
	struct pollfd stopped = { .fd = stop, .events = POLLIN };
	struct host_report seen = { 0 };
	bool has_started = false;

	(void)prefork_forget_in_child(); /* closes the listeners, among others */
	while (poll(&stopped, 1, address ? 0 : -1) == 0) {
		const bool accepted = request_together(address, &seen);

		atomic_store(served, seen.served);
		if (!has_started)
			(void)!write(report, "", 1);
		has_started = true;
		if (accepted)
			continue;
		seen.refused++;
		address = next;
		next = NULL;
	}
	(void)!write(report, &seen, sizeof seen);
	_exit(0);
}

void host_load_start(struct host_load *load, const char *address, const char *next)
{
	int stop[2], report[2];
	char byte;

	ck_assert_int_eq(pipe2(stop, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(report, O_CLOEXEC), 0);
	load->served = mmap(NULL, sizeof *load->served, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(load->served, MAP_FAILED);
	load->pid = fork();
	ck_assert_int_ge(load->pid, 0);
	if (load->pid == 0) {
		(void)close(stop[1]);
		keep_requesting(address, next, stop[0], report[1], load->served);
	}
	(void)close(stop[0]);
	(void)close(report[1]);
	load->stop = stop[1];
	load->report = report[0];
	/* Wait until it has sent requests. */
	ck_assert_msg(wait_for(load->report, POLLIN, LIMIT_MS), "the clients do not start");
	ck_assert_int_eq(read(load->report, &byte, 1), 1);
}

void host_load_await(const struct host_load *load, unsigned served)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(LIMIT_MS);

	while (atomic_load(load->served) < served) {
		ck_assert_msg(pfi_now_ms() < end_ms, "the clients get no responses");
		(void)poll(NULL, 0, 2);
	}
}

struct host_report host_load_stop(struct host_load *load)
{
	struct host_report seen = { 0 };

	/* Closing alone causes no end of file: workers have inherited the descriptor. */
	ck_assert_int_eq(write(load->stop, "", 1), 1);
	(void)close(load->stop);
	ck_assert_msg(wait_for(load->report, POLLIN, LIMIT_MS), "the clients do not stop");
	ck_assert_int_eq(read(load->report, &seen, sizeof seen), (ssize_t)sizeof seen);
	(void)close(load->report);
	ck_assert_int_eq(waitpid(load->pid, NULL, 0), load->pid);
	(void)munmap((void *)(uintptr_t)load->served, sizeof *load->served);
	ck_assert_msg(seen.broken == 0, "%u connections broke beside %u that were served; the last one: %s", seen.broken,
		      seen.served, seen.error ? strerror(seen.error) : "closed without a response");
	return seen;
}
