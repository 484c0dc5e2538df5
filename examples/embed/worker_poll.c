/*
 * worker_poll: workers with a loop of their own, here poll(2), and an HTTP server of the library in it. The smallest
 * example of prefork_worker_dispatch(); worker_glib and worker_uv do the same in loops of other libraries.
 */
#include <prefork/http.h>
#include <prefork/prefork.h>

#include <poll.h>
#include <stdio.h>

static int hello(struct prefork_request *request, void *user)
{
	static const char body[] = "Hello, world!\n";
	int r = prefork_response_start(request, 200, NULL);

	(void)user;
	if (r == 0)
		r = prefork_response_field(request, "Content-Type", "text/plain");
	if (r == 0)
		r = prefork_response_last(request, body, sizeof body - 1);
	return r;
}

static const struct prefork_http_service service = { .struct_size = sizeof service, .handle = hello };

static int run(struct prefork_worker *worker, void *user)
{
	const struct prefork_host_loop loop = { .struct_size = sizeof loop, .flags = PREFORK_LOOP_REPORTS_IDLE };
	const int r = prefork_worker_poll_open(worker, &loop, NULL);

	(void)user;
	if (r < 0)
		return r;
	do {
		struct pollfd wait = { .fd = prefork_worker_poll_fd(worker), .events = POLLIN };

		prefork_worker_idle(worker);
		(void)poll(&wait, 1, -1);
		prefork_worker_busy(worker);
	} while (prefork_worker_dispatch(worker) == 1);
	prefork_worker_poll_close(worker);
	return 0;
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy,
	.name = "poll",
	.traits = PREFORK_STRATEGY_REPORTS_READY | PREFORK_STRATEGY_TURNS,
	.run = run,
};

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	prefork_title_take(argc, argv); /* ps shows "worker_poll: worker 0 [hello] serving" */
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
		fprintf(stderr, "worker_poll: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
