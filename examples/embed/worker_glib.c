/*
 * worker_glib: workers that run GLib's main loop, with an HTTP server of the library in it.
 *
 * Besides the connections of the library, the loop of each worker has a timer and a datagram socket
 * of the program:
 *
 *   GET /        Hello, world!
 *   GET /status  the ticks of the timer, and the port of the datagram socket
 *   a datagram   is answered with the ticks
 *
 * GLib polls with poll(2), so that workers share connections unevenly: start it with --reuse-port.
 * --worker-class libev runs the same service without GLib.
 */
#include <prefork/http.h>
#include <prefork/prefork.h>

#include <glib-unix.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One per worker process. */
static struct host {
	struct prefork_worker *worker;
	GMainLoop *loop;
	unsigned ticks, port;
	int socket;
} host = { .socket = -1 };

static int hello(struct prefork_request *request, void *user)
{
	char body[64] = "Hello, world!\n";
	int r = prefork_response_start(request, 200, NULL);

	(void)user;
	if (strcmp(prefork_request_target(request, NULL), "/status") == 0)
		(void)snprintf(body, sizeof body, "ticks=%u port=%u\n", host.ticks, host.port);
	if (r == 0)
		r = prefork_response_field(request, "Content-Type", "text/plain");
	if (r == 0)
		r = prefork_response_last(request, body, strlen(body));
	return r; /* negative: the library sends 500 */
}

static const struct prefork_http_service service = { .struct_size = sizeof service, .handle = hello };

/* The program's own timer and socket. */

static gboolean on_tick(gpointer user)
{
	(void)user;
	host.ticks++;
	return G_SOURCE_CONTINUE;
}

static gboolean on_datagram(gint fd, GIOCondition condition, gpointer user)
{
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	char text[32];

	(void)condition;
	(void)user;
	if (recvfrom(fd, text, sizeof text, MSG_DONTWAIT, (struct sockaddr *)&from, &size) >= 0) {
		const int length = snprintf(text, sizeof text, "%u\n", host.ticks);

		(void)sendto(fd, text, (size_t)length, MSG_DONTWAIT, (struct sockaddr *)&from, size);
	}
	return G_SOURCE_CONTINUE;
}

static int open_socket(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;

	host.socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (host.socket < 0 || bind(host.socket, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(host.socket, (struct sockaddr *)&address, &size) < 0)
		return prefork_fail(-errno, "opening a datagram socket failed: %s", strerror(errno));
	host.port = ntohs(address.sin_port);
	return 0;
}

/* The worker in GLib's loop. */

static gboolean on_worker(gint fd, GIOCondition condition, gpointer user)
{
	(void)fd;
	(void)condition;
	(void)user;
	if (prefork_worker_dispatch(host.worker) == 1)
		return G_SOURCE_CONTINUE;
	g_main_loop_quit(host.loop);
	return G_SOURCE_REMOVE;
}

/* Every wait of the loop is here: from its end to its beginning, the thread has the deadline of a request. */
static gint poll_and_report(GPollFD *fds, guint count, gint timeout)
{
	prefork_worker_idle(host.worker);
	const gint r = g_poll(fds, count, timeout);
	prefork_worker_busy(host.worker);
	return r;
}

static int run(struct prefork_worker *worker, void *user)
{
	const struct prefork_host_loop loop = { .struct_size = sizeof loop, .flags = PREFORK_LOOP_REPORTS_IDLE };
	int r = open_socket();

	(void)user;
	if (r == 0)
		r = prefork_worker_poll_open(worker, &loop, NULL);
	if (r == 0) {
		host.worker = worker;
		host.loop = g_main_loop_new(NULL, FALSE);
		g_main_context_set_poll_func(NULL, poll_and_report);
		const guint tick = g_timeout_add(100, on_tick, NULL);
		const guint datagram = g_unix_fd_add(host.socket, G_IO_IN, on_datagram, NULL);
		(void)g_unix_fd_add(prefork_worker_poll_fd(worker), G_IO_IN, on_worker, NULL);
		g_main_loop_run(host.loop);
		(void)g_source_remove(tick);
		(void)g_source_remove(datagram);
		g_main_loop_unref(host.loop);
		prefork_worker_poll_close(worker);
	}
	if (host.socket >= 0)
		(void)close(host.socket);
	return r;
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy,
	.name = "glib",
	.traits = PREFORK_STRATEGY_REPORTS_READY | PREFORK_STRATEGY_TURNS,
	.run = run,
};

static int load(int argc, char **argv, struct prefork_settings **ret)
{
	int r = prefork_settings_create(ret);

	if (r == 0 && (r = prefork_http_add_options(*ret)) == 0 &&
	    (r = prefork_settings_add_choice(*ret, "worker_class", strategy.name, NULL)) == 0 &&
	    (r = prefork_settings_set_default(*ret, "worker_class", strategy.name)) == 0)
		r = prefork_settings_parse(*ret, argc, argv); /* 1: done, for example --help */
	return r;
}

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	prefork_title_take(argc, argv); /* ps shows "worker_glib: worker 0 [hello] serving" */
	int r = load(argc, argv, &settings);

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_strategy(arbiter, &strategy)) == 0 &&
	    (r = prefork_http_add_service(arbiter, "hello", &service, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		fprintf(stderr, "worker_glib: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
