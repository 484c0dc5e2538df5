/*
 * worker_tasks: HTTP handlers in coroutines, here those of <ucontext.h>, in the workers' own epoll loop.
 *
 * A handler that waits for its client occupies a coroutine and no thread. One worker serves as many slow clients as it
 * has memory for:
 *   GET  /       100,000 pieces of 64 bytes; a client that reads slowly suspends the coroutine
 *   POST /       the number of bytes of the request body, which is read while it arrives
 *
 * A program whose coroutines are those of a library replaces submit(), park() and unpark(): each is one switch.
 */
#include <prefork/http.h>
#include <prefork/prefork.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <ucontext.h>
#include <unistd.h>

enum { PIECES = 100 * 1000 };

struct task {
	ucontext_t context;
	struct prefork_connection *connection;
	bool is_over;
	struct task *next; /* in `spare` */
	char stack[256 * 1024];
};

static ucontext_t loop_context;
static struct task *running; /* NULL: the loop runs */
static struct task *spare;

/* The application. */

static int send_pieces(struct prefork_request *request)
{
	char piece[65];
	int r = prefork_response_start(request, 200, NULL);

	if (r == 0)
		r = prefork_response_field(request, "Content-Type", "text/plain");
	for (int i = 0; r == 0 && i < PIECES; i++) {
		(void)snprintf(piece, sizeof piece, "%063d\n", i);
		r = prefork_response_write(request, piece, 64); /* suspends while the client reads slowly */
	}
	return r;
}

static int count_body(struct prefork_request *request)
{
	char bytes[4096], text[32];
	long long total = 0;
	ptrdiff_t n;

	while ((n = prefork_request_read(request, bytes, sizeof bytes)) > 0) /* suspends until data arrives */
		total += n;
	if (n < 0)
		return (int)n; /* the client gets 400, 408 or 413 */
	const int length = snprintf(text, sizeof text, "%lld\n", total);
	const int r = prefork_response_start(request, 200, NULL);
	return r == 0 ? prefork_response_last(request, text, (size_t)length) : r;
}

static int handle(struct prefork_request *request, void *user)
{
	(void)user;
	return strcmp(prefork_request_method(request, NULL), "POST") == 0 ? count_body(request) : send_pieces(request);
}

static const struct prefork_http_service service = { .struct_size = sizeof service, .handle = handle };

/* Coroutines. */

static void begin(void)
{
	for (;;) { /* once per request: a task is used again */
		prefork_connection_work(running->connection);
		running->is_over = true;
		(void)swapcontext(&running->context, &loop_context);
	}
}

/* On the stack of the loop. Returns when the task waits or has ended. */
static void resume(struct task *task)
{
	running = task;
	(void)swapcontext(&loop_context, &task->context);
	running = NULL;
	if (task->is_over) {
		task->next = spare;
		spare = task;
	}
}

static struct task *create_task(void)
{
	struct task *const task = malloc(sizeof *task);

	if (task && getcontext(&task->context) == 0) {
		task->context.uc_stack.ss_sp = task->stack;
		task->context.uc_stack.ss_size = sizeof task->stack;
		makecontext(&task->context, begin, 0);
	}
	return task;
}

static int submit(struct prefork_connection *connection, void *user)
{
	struct task *const task = spare ? spare : create_task();

	(void)user;
	if (!task)
		return -ENOMEM; /* the client gets 503 */
	if (task == spare)
		spare = task->next;
	task->is_over = false;
	task->connection = connection;
	resume(task);
	return 0;
}

static int park(struct prefork_wait *wait, void *user)
{
	(void)user;
	prefork_wait_set_user(wait, running);
	(void)swapcontext(&running->context, &loop_context);
	return 0;
}

static void unpark(struct prefork_wait *wait, void *user)
{
	(void)user;
	resume(prefork_wait_user(wait));
}

/* The loop. The program's own descriptors would be in the same epoll set. */

static int run(struct prefork_worker *worker, void *user)
{
	const struct prefork_host_loop loop = { .struct_size = sizeof loop, .flags = PREFORK_LOOP_REPORTS_IDLE,
		                                .submit = submit, .park = park, .unpark = unpark };
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	int r = epoll < 0 ? prefork_fail(-errno, "epoll_create1: %s", strerror(errno)) :
	                    prefork_worker_poll_open(worker, &loop, NULL);

	(void)user;
	if (r == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, prefork_worker_poll_fd(worker), &event) < 0)
		r = prefork_fail(-errno, "epoll_ctl: %s", strerror(errno));
	while (r == 0) {
		prefork_worker_idle(worker);
		const int count = epoll_wait(epoll, &event, 1, -1);
		prefork_worker_busy(worker);
		if (count > 0 && prefork_worker_dispatch(worker) == 0)
			break;
	}
	prefork_worker_poll_close(worker);
	return r; /* the process ends, and with it epoll set and stacks */
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy, .name = "tasks",
	.traits = PREFORK_STRATEGY_REPORTS_READY | PREFORK_STRATEGY_TURNS, .run = run,
};

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	int r = prefork_settings_create(&settings);

	prefork_title_take(argc, argv);
	if (r == 0 && (r = prefork_http_add_options(settings)) == 0 &&
	    (r = prefork_settings_set_default(settings, "stream_uploads", "true")) == 0 &&
	    (r = prefork_settings_add_choice(settings, "worker_class", "tasks", NULL)) == 0 &&
	    (r = prefork_settings_set_default(settings, "worker_class", "tasks")) == 0 &&
	    (r = prefork_settings_parse(settings, argc, argv)) == 0 && /* 1: done, for example --help */
	    (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_strategy(arbiter, &strategy)) == 0 &&
	    (r = prefork_http_add_service(arbiter, "tasks", &service, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		fprintf(stderr, "worker_tasks: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
