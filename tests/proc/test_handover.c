/*
 * Inherited sockets: this program executes itself as an echo server, which inherits
 * sockets that are open already.
 */
#include "../support.h"
#include "echo.h"

#include <prefork/prefork.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { FIRST = 3, LIMIT_MS = 20000 };

/* ---- the server ---- */

static const struct prefork_service service = {
	.struct_size = sizeof service, .traits = PREFORK_SERVICE_CLIENT_FIRST, .ready = echo
};

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct prefork_listener *listener;

	(void)process;
	(void)user;
	printf("ready");
	for (size_t i = 0; (listener = prefork_arbiter_listener(arbiter, i)) != NULL; i++)
		printf(" %s=%s%s", prefork_listener_name(listener), prefork_listener_address(listener),
		       prefork_listener_is_inherited(listener) ? "!" : "");
	printf("\n");
	(void)fflush(stdout);
}

static void on_reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)arbiter;
	(void)user;
	printf("verdict %d %s\n", (int)verdict, why);
	(void)fflush(stdout);
}

static void on_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)process;
	(void)user;
	printf("exited\n");
	(void)fflush(stdout);
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks, .worker_ready = on_ready, .worker_exited = on_exited, .reload_end = on_reload_end
};

static int serve(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	int r = prefork_settings_load(argc, argv, &settings);

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_service(arbiter, "echo", &service, NULL)) == 0 &&
	    (r = prefork_arbiter_add_hooks(arbiter, &hooks, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		printf("failed %s\n", prefork_error());
	if (getenv("LISTEN_FDS") || getenv("LISTEN_PID") || getenv("LISTEN_FDNAMES") || getenv("PREFORK_FDS") ||
	    getenv("SERVER_STARTER_PORT"))
		printf("the environment still names the sockets\n");
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}

/* ---- the parent ---- */

static char path[64];
static int sockets[2]; /* TCP, unix */
static struct server {
	pid_t pid;
	int out;
} server;

static void open_sockets(void)
{
	const struct sockaddr_in tcp = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_un local = { .sun_family = AF_UNIX };

	(void)snprintf(path, sizeof path, "/tmp/prefork-handover-%d", (int)getpid());
	(void)snprintf(local.sun_path, sizeof local.sun_path, "%s", path);
	(void)unlink(path);
	sockets[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sockets[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(sockets[0], (const struct sockaddr *)&tcp, sizeof tcp), 0);
	ck_assert_int_eq(bind(sockets[1], (const struct sockaddr *)&local, sizeof local), 0);
	ck_assert_int_eq(listen(sockets[0], 64), 0);
	ck_assert_int_eq(listen(sockets[1], 64), 0);
	/* Above the numbers that the server uses; become_server() duplicates them. */
	for (int i = 0; i < 2; i++) {
		const int high = fcntl(sockets[i], F_DUPFD_CLOEXEC, 100);

		ck_assert_int_ge(high, 100);
		(void)close(sockets[i]);
		sockets[i] = high;
	}
}

static void close_sockets(void)
{
	struct stat there;

	ck_assert_msg(stat(path, &there) == 0, "the path of an inherited socket was removed");
	(void)unlink(path);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
}

/* Environment of the server, as NAME=VALUE, and words of its command line. %p stands for its pid, %a for the address of
 * the TCP socket. */
struct start {
	const char *variables[4];
	const char *words[6];
};

static void fill_in(char *to, size_t size, const char *from)
{
	struct sockaddr_in address;
	socklen_t length = sizeof address;
	const char *const mark = strchr(from, '%');

	(void)getsockname(sockets[0], (struct sockaddr *)&address, &length);
	if (mark && mark[1] == 'p')
		(void)snprintf(to, size, "%.*s%d%s", (int)(mark - from), from, (int)getpid(), mark + 2);
	else if (mark && mark[1] == 'a')
		(void)snprintf(to, size, "%.*s127.0.0.1:%u%s", (int)(mark - from), from, ntohs(address.sin_port),
		               mark + 2);
	else
		(void)snprintf(to, size, "%s", from);
}

/* Runs in the child; ends with exec or _exit(2). */
static void become_server(const struct start *start, int out)
{
	static char texts[10][128];
	const char *argv[16] = { "handover", "--log-level", "error", "--timeout", "20", "--canary-time", "0" };
	size_t count = 7, used = 0;

	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(sockets[0], FIRST);
	(void)dup2(sockets[1], FIRST + 1);
	for (size_t i = 0; i < 4 && start->variables[i]; i++) {
		fill_in(texts[used], sizeof texts[used], start->variables[i]);
		(void)putenv(texts[used++]);
	}
	for (size_t i = 0; i < 6 && start->words[i]; i++) {
		fill_in(texts[used], sizeof texts[used], start->words[i]);
		argv[count++] = texts[used++];
	}
	(void)setenv("HANDOVER_SERVE", "1", 1);
	(void)execv("/proc/self/exe", (char **)(uintptr_t)argv);
	_exit(99);
}

static void start_server(const struct start *start)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	server.pid = fork();
	ck_assert_int_ge(server.pid, 0);
	if (server.pid == 0)
		become_server(start, ends[1]);
	(void)close(ends[1]);
	server.out = ends[0];
}

static const char *next_line(void)
{
	static char line[1024];
	size_t used = 0;

	do {
		ck_assert_msg(wait_for(server.out, POLLIN, LIMIT_MS), "the server writes nothing");
		if (read(server.out, &line[used], 1) != 1)
			break;
	} while (line[used] != '\n' && ++used < sizeof line - 1);
	line[used] = 0;
	return line;
}

static void read_until(const char *text)
{
	for (const char *line = next_line(); !strstr(line, text); line = next_line())
		ck_assert_msg(*line, "the server has exited");
}

static int end_server(int signo)
{
	int status = -1;

	if (signo)
		(void)kill(server.pid, signo);
	while (*next_line())
		continue;
	(void)close(server.out);
	ck_assert_int_eq(waitpid(server.pid, &status, 0), server.pid);
	return status;
}

static void expect_echo(int socket_fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	char bytes[4] = "";

	ck_assert_int_eq(getsockname(socket_fd, (struct sockaddr *)&address, &size), 0);
	const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(send(fd, "ping", 4, MSG_NOSIGNAL), 4);
	ck_assert_msg(wait_for(fd, POLLIN, LIMIT_MS), "no response");
	ck_assert_int_eq(recv(fd, bytes, 4, MSG_WAITALL), 4);
	ck_assert_mem_eq(bytes, "ping", 4);
	(void)close(fd);
}

static const struct {
	struct start start;
	bool serves[2];     /* TCP, unix */
	const char *listed; /* in the line "ready" */
} handovers[] = {
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=2" }, { 0 } }, { true, true }, "unknown=127." },
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin" }, { 0 } }, { true, true }, "admin=unix:" },
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin" }, { "-b", "web" } }, { true, false }, "web=127." },
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=2" }, { "-b", "%a" } }, { true, false }, "unknown=127." },
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=2" }, { "-b", "fd://4" } }, { false, true }, "unknown=unix:" },
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=1" }, { "-b", "fd://4,fd://3" } }, { true, true }, "fd://4=unix:" },
	{ { { 0 }, { "-b", "fd://3" } }, { true, false }, "fd://3=127." },
	{ { { "PREFORK_FDS=%a=3,x=4" }, { 0 } }, { true, true }, "x=unix:" },
	{ { { "PREFORK_FDS=one=3,two=4" }, { "-b", "two" } }, { false, true }, "two=unix:" },
	{ { { "SERVER_STARTER_PORT=%a=3;/x=4" }, { 0 } }, { true, true }, "/x=unix:" },
	{ { { "SERVER_STARTER_PORT=80=3;/x=4" }, { "-b", "%a" } }, { true, false }, "80=127." },
};

START_TEST(an_inherited_socket_is_served)
{
	int seconds = -1;
	socklen_t size = sizeof seconds;

	open_sockets();
	start_server(&handovers[_i].start);
	const char *const line = next_line();
	ck_assert_msg(strstr(line, "ready") && strstr(line, handovers[_i].listed), "its output is: %s", line);
	ck_assert_ptr_nonnull(strchr(line, '!'));
	for (int i = 0; i < 2; i++) {
		if (handovers[_i].serves[i])
			expect_echo(sockets[i]);
	}
	/* Other processes share it: its options are unchanged. */
	ck_assert_int_eq(getsockopt(sockets[0], IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size), 0);
	ck_assert_int_eq(seconds, 0);
	ck_assert_int_eq(end_server(SIGTERM), 0);

	/* It still accepts connections after this server. */
	for (int i = 0; i < 2; i++) {
		struct sockaddr_storage address;
		const int fd = socket(i ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		size = sizeof address;
		ck_assert_int_eq(getsockname(sockets[i], (struct sockaddr *)&address, &size), 0);
		ck_assert(connect(fd, (const struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS);
		ck_assert_msg(wait_for(sockets[i], POLLIN, LIMIT_MS), "the socket refuses connections");
		(void)close(fd);
	}
	close_sockets();
}
END_TEST

START_TEST(a_reload_keeps_inherited_sockets)
{
	open_sockets();
	start_server(&handovers[_i].start);
	(void)next_line();
	(void)kill(server.pid, SIGHUP);
	read_until("verdict");
	read_until("exited"); /* the worker of before, which accepts until then */
	for (int i = 0; i < 2; i++) {
		if (handovers[_i].serves[i])
			expect_echo(sockets[i]);
	}
	ck_assert_int_eq(end_server(SIGTERM), 0);
	close_sockets();
}
END_TEST

static const struct {
	struct start start;
	const char *message;
} refusals[] = {
	/* The first two are wrong settings. */
	{ { { 0 }, { "-b", "fd://3,fd://3" } }, "name it once" },
	{ { { 0 }, { "-b", "fd://3", "-b", "fd://03" } }, "name it once" },
	{ { { 0 }, { "-b", "fd://77" } }, "it is not open" },
	{ { { 0 }, { "-b", "fd://0" } }, "descriptor 0" },
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=3" }, { 0 } }, "descriptor 5" },
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=x" }, { 0 } }, "LISTEN_FDS" },
	{ { { "LISTEN_PID=%p", "LISTEN_FDS=1", "PREFORK_FDS=x=3" }, { 0 } }, "twice" },
	/* For another process: not inherited, so that the address is in use. */
	{ { { "LISTEN_PID=1", "LISTEN_FDS=2" }, { "-b", "%a" } }, "another socket has this address" },
};

START_TEST(an_unusable_inherited_socket_is_refused)
{
	open_sockets();
	start_server(&refusals[_i].start);
	const char *const line = next_line();
	ck_assert_msg(strstr(line, "failed") && strstr(line, refusals[_i].message), "its output is: %s", line);
	const int status = end_server(0);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == (_i < 2 ? 2 : 1), "status %d", status);
	close_sockets();
}
END_TEST

int main(int argc, char **argv)
{
	if (getenv("HANDOVER_SERVE"))
		return serve(argc, argv);

	Suite *const suite = suite_create("handover");
	TCase *const tc = new_case(suite, "handover");

	tcase_add_loop_test(tc, an_inherited_socket_is_served, 0, sizeof handovers / sizeof handovers[0]);
	tcase_add_loop_test(tc, a_reload_keeps_inherited_sockets, 0, sizeof handovers / sizeof handovers[0]);
	tcase_add_loop_test(tc, an_unusable_inherited_socket_is_refused, 0, sizeof refusals / sizeof refusals[0]);
	return run_suite(suite);
}
