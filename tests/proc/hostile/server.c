#include "server.h"

#include "os/clock.h"
#include "os/fd.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/service.h>
#include <prefork/settings.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct news {
	pid_t pid;
	uint16_t port;
};

/* ---- in the server ---- */

static int news_fd;
static int work_ms;

static enum prefork_next echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[64];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker;
	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	while (bytes[0] == 'H')
		(void)poll(NULL, 0, -1);
	if (work_ms > 0)
		(void)poll(NULL, 0, work_ms);
	return prefork_connection_write(connection, bytes, (size_t)n);
}

static const struct prefork_service service = { .struct_size = sizeof service, .ready = echo };

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof address;
	struct news news = { .pid = prefork_process_pid(process) };

	(void)user;
	if (getsockname(prefork_listener_fd(prefork_arbiter_listener(arbiter, 0)), (struct sockaddr *)&address, &size) == 0 &&
	    address.ss_family == AF_INET)
		news.port = ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
	(void)!write(news_fd, &news, sizeof news);
}

static const struct prefork_hooks hooks = { .struct_size = sizeof hooks, .worker_ready = on_ready };

static _Noreturn void serve(const char *const *arguments)
{
	const char *argv[64] = { "server", "--workers", "2", "--log-level", "critical" };
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	int argc = 5;

	while (*arguments != NULL && argc < 63)
		argv[argc++] = *arguments++;

	int r = prefork_settings_load(argc, (char *const *)(uintptr_t)argv, &settings);

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_service(arbiter, "web", &service, NULL)) == 0 &&
	    (r = prefork_arbiter_add_hooks(arbiter, &hooks, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		(void)fprintf(stderr, "server: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	_exit(r < 0);
}

/* ---- in the test ---- */

static int patient_ms(int milliseconds)
{
	const char *const text = getenv("TEST_PATIENCE");
	const int factor = text != NULL ? atoi(text) : 1;

	return milliseconds * (factor > 0 ? factor : 1);
}

static bool is_readable(int fd, int limit_ms)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)limit_ms;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	int r;

	do {
		const uint64_t now_ms = pfi_now_ms();

		r = poll(&wait, 1, now_ms < end_ms ? (int)(end_ms - now_ms) : 0);
	} while (r < 0 && errno == EINTR);
	return r == 1;
}

bool server_start(struct server *server, const char *const *arguments, int takes_ms)
{
	int ends[2];

	*server = (struct server){ .pid = -1, .pidfd = -1, .news = -1 };
	if (pipe(ends) < 0)
		return false;
	server->pid = fork();
	if (server->pid == 0) {
		(void)close(ends[0]);
		news_fd = ends[1];
		work_ms = takes_ms;
		serve(arguments);
	}
	(void)close(ends[1]);
	server->news = ends[0];
	server->pidfd = (int)syscall(SYS_pidfd_open, server->pid, 0U);
	return server_wait_ready(server, 2);
}

bool server_wait_ready(struct server *server, unsigned count)
{
	struct news news;

	while (server->ready < count) {
		if (!is_readable(server->news, patient_ms(20000)) || read(server->news, &news, sizeof news) != sizeof news)
			return false;
		server->port = news.port;
		server->pids[server->ready % 8] = news.pid;
		server->workers[server->ready % 8] = (int)syscall(SYS_pidfd_open, news.pid, 0U);
		server->ready++;
	}
	return true;
}

int server_wait(struct server *server)
{
	int status;

	if (!is_readable(server->pidfd, patient_ms(20000)))
		return -1;
	if (waitpid(server->pid, &status, 0) != server->pid)
		return -1;
	server->pid = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool server_workers_gone(const struct server *server, int limit_ms)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patient_ms(limit_ms);

	for (unsigned i = 0; i < server->ready; i++) {
		const uint64_t now_ms = pfi_now_ms();

		if (!is_readable(server->workers[i], now_ms < end_ms ? (int)(end_ms - now_ms) : 0))
			return false;
	}
	return true;
}

void server_finish(struct server *server)
{
	if (server->pid > 0) {
		(void)kill(server->pid, SIGKILL);
		(void)waitpid(server->pid, NULL, 0);
	}
	for (unsigned i = 0; i < server->ready; i++) {
		(void)syscall(SYS_pidfd_send_signal, server->workers[i], SIGKILL, NULL, 0U);
		pfi_close(&server->workers[i]);
	}
	pfi_close(&server->pidfd);
	pfi_close(&server->news);
}
