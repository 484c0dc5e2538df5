/*
 * worker_uv: workers that run a loop of libuv, with an HTTP server of the library in it. The loop also has a timer and a
 * datagram socket of the program: GET /status shows ticks and port, and a datagram is answered with the ticks.
 *
 * The loop also watches the listeners, and the library makes these entries exclusive, so that each connection wakes one
 * worker. libuv runs its hooks (uv_check_t) after the callbacks of descriptors, so it cannot report when it waits.
 */
#include <prefork/http.h>
#include <prefork/prefork.h>

#include <uv.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LISTENERS_MAX = 16 };

/* One per worker process. */
static struct host {
	struct prefork_worker *worker;
	uv_loop_t loop;
	uv_poll_t poll, listeners[LISTENERS_MAX];
	uv_timer_t tick;
	uv_udp_t socket;
	unsigned ticks, port, listener_count; /* that the loop watches */
} host;

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

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
	host.ticks++;
}

static void lend_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	static char bytes[64];

	(void)handle;
	(void)size;
	*buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_datagram(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags)
{
	char text[32];
	uv_buf_t answer = uv_buf_init(text, (unsigned)snprintf(text, sizeof text, "%u\n", host.ticks));

	(void)buffer;
	(void)flags;
	if (size >= 0 && from)
		(void)uv_udp_try_send(udp, &answer, 1, from);
}

static int start_own(void)
{
	struct sockaddr_in address;
	int size = sizeof address, r;

	(void)uv_timer_init(&host.loop, &host.tick);
	(void)uv_ip4_addr("127.0.0.1", 0, &address);
	if ((r = uv_udp_init(&host.loop, &host.socket)) < 0 || (r = uv_timer_start(&host.tick, on_tick, 100, 100)) < 0 ||
	    (r = uv_udp_bind(&host.socket, (struct sockaddr *)&address, 0)) < 0 ||
	    (r = uv_udp_getsockname(&host.socket, (struct sockaddr *)&address, &size)) < 0)
		return r;
	host.port = ntohs(address.sin_port);
	return uv_udp_recv_start(&host.socket, lend_buffer, on_datagram);
}

/* The worker in libuv's loop. */

static void on_worker(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	if (prefork_worker_dispatch(host.worker) == 1)
		return;
	(void)uv_poll_stop(poll);
	uv_stop(&host.loop);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	prefork_worker_listener_ready(host.worker, (size_t)(poll - host.listeners));
}

/* Also called by the library, before it closes the listeners. */
static void stop_listeners(void *user)
{
	(void)user;
	for (unsigned i = 0; i < host.listener_count; i++)
		uv_close((uv_handle_t *)&host.listeners[i], NULL);
	host.listener_count = 0;
}

static int watch_listeners(void)
{
	if (prefork_worker_listeners(host.worker) > LISTENERS_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < prefork_worker_listeners(host.worker); i++, host.listener_count++) {
		uv_poll_t *const it = &host.listeners[i];

		if (uv_poll_init(&host.loop, it, prefork_listener_fd(prefork_worker_listener(host.worker, i))) < 0)
			return -EIO;
		(void)uv_poll_start(it, UV_READABLE, on_listener);
	}
	(void)uv_run(&host.loop, UV_RUN_NOWAIT); /* libuv adds them to its epoll set */
	return prefork_worker_adopt_listeners(host.worker);
}

static void close_handle(uv_handle_t *handle, void *user)
{
	(void)user;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static int run_loop(void)
{
	int r = start_own();

	if (r == 0 && (r = uv_poll_init(&host.loop, &host.poll, prefork_worker_poll_fd(host.worker))) == 0)
		r = uv_poll_start(&host.poll, UV_READABLE, on_worker);
	if (r < 0)
		return prefork_fail(r, "a watcher failed: %s", uv_strerror(r));
	if (watch_listeners() < 0)
		stop_listeners(NULL); /* the worker's own epoll set has them */
	return uv_run(&host.loop, UV_RUN_DEFAULT) < 0 ? -EIO : 0;
}

static int run(struct prefork_worker *worker, void *user)
{
	const struct prefork_host_loop loop = { .struct_size = sizeof loop, .listeners_closing = stop_listeners };
	int r = uv_loop_init(&host.loop);

	(void)user;
	if (r < 0)
		return prefork_fail(r, "uv_loop_init: %s", uv_strerror(r));
	host.worker = worker;
	if ((r = prefork_worker_poll_open(worker, &loop, NULL)) == 0)
		r = run_loop();
	stop_listeners(NULL);
	uv_walk(&host.loop, close_handle, NULL);
	(void)uv_run(&host.loop, UV_RUN_DEFAULT); /* until all are closed: before their descriptors are */
	prefork_worker_poll_close(worker);
	(void)uv_loop_close(&host.loop);
	return r;
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy,
	.name = "uv",
	.traits = PREFORK_STRATEGY_REPORTS_READY | PREFORK_STRATEGY_TURNS,
	.run = run,
};

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	prefork_title_take(argc, argv); /* ps shows "worker_uv: worker 0 [hello] serving" */
	int r = prefork_settings_create(&settings);

	if (r == 0 && (r = prefork_http_add_options(settings)) == 0 &&
	    (r = prefork_settings_add_choice(settings, "worker_class", strategy.name, NULL)) == 0 &&
	    (r = prefork_settings_set_default(settings, "worker_class", strategy.name)) == 0 &&
	    (r = prefork_settings_parse(settings, argc, argv)) == 0 && /* 1: done, for example --help */
	    (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_strategy(arbiter, &strategy)) == 0 &&
	    (r = prefork_http_add_service(arbiter, "hello", &service, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		fprintf(stderr, "worker_uv: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
