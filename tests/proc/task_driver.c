/*
 * A loop of an application whose coroutines are ucontexts. Includes public headers of the library only.
 *
 *     loop    epoll_wait(2), prefork_worker_dispatch(), then the tasks that are ready
 *     task    swapcontext(3) to the loop when it waits or ends
 *
 * While a stack is not in use, its contents are elsewhere, as those of greenlets are, and its memory is overwritten: a
 * library that reads from or writes to the stack of a task that waits, or of the loop while a task runs, fails.
 */
#include "task_driver.h"

#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/listener.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if defined __SANITIZE_ADDRESS__
#define HAS_ASAN 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_SIZE = 256 * 1024, MARGIN = 1024 };

struct coroutine {
	ucontext_t context;
	char *stack, *low; /* used from `low` on                 */
	char *copy;        /* of what is used; NULL: it is there */
	const void *bottom; /* of a stack that is not ours       */
	size_t size;
	void *fake_stack;  /* of AddressSanitizer                */
};

struct task {
	struct coroutine coroutine;
	struct task *next;       /* all tasks            */
	struct task *next_ready; /* in the queue `ready` */
	bool is_ready, is_parked, is_over, is_interrupted;
	struct prefork_wait *wait; /* that it is parked for */
	uint64_t wake_ms;          /* of a sleep; 0: none   */
	void (*function)(void *user);
	void *user;
};

static struct host {
	struct prefork_worker *worker;
	int epoll, result;
	struct coroutine main, loop;
	struct task *running, *tasks, *ready, **last_ready;
	bool is_cancelled;
} host;

#ifndef TEST_TASKS
#define TEST_TASKS 1
#endif

struct task_options task_options = { .is_late = TEST_TASKS == 2, .reports_idle = true };
static const uint64_t worker_key = UINT64_MAX; /* other data of an event: the index of a listener */

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#define UNCHECKED __attribute__((no_sanitize("address", "undefined"), noinline))

/* Not memcpy(3), whose arguments AddressSanitizer checks. */
UNCHECKED static void copy_words(uint64_t *to, const uint64_t *from, size_t size)
{
	for (size_t i = 0; i < size / sizeof *to; i++)
		((volatile uint64_t *)to)[i] = from ? from[i] : UINT64_C(0xdeadbeefdeadbeef);
}

static void hide(struct coroutine *coroutine)
{
	const size_t size = (size_t)(coroutine->stack + STACK_SIZE - coroutine->low);

	coroutine->copy = malloc(size);
	copy_words((void *)coroutine->copy, (void *)coroutine->low, size);
	copy_words((void *)coroutine->low, NULL, size);
}

static void show(struct coroutine *coroutine)
{
	if (!coroutine->copy)
		return;
	copy_words((void *)coroutine->low, (void *)coroutine->copy, (size_t)(coroutine->stack + STACK_SIZE - coroutine->low));
	free(coroutine->copy);
	coroutine->copy = NULL;
}

static void after_switch(struct coroutine *from, struct coroutine *to)
{
#ifdef HAS_ASAN
	__sanitizer_finish_switch_fiber(to->fake_stack, &from->bottom, &from->size);
#else
	(void)to;
#endif
	if (from->stack)
		hide(from);
}

/* Between the loop and a task. `ends`: `from` never runs again. */
UNCHECKED static void switch_between(struct coroutine *from, struct coroutine *to, bool ends)
{
	from->low = (char *)((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)15) - MARGIN;
	if (from->low < from->stack)
		abort();
	show(to);
#ifdef HAS_ASAN
	__sanitizer_start_switch_fiber(ends ? NULL : &from->fake_stack, to->bottom ? to->bottom : to->stack,
	                               to->bottom ? to->size : STACK_SIZE);
#else
	(void)ends;
#endif
	(void)swapcontext(&from->context, &to->context);
	after_switch(to, from);
}

static void switch_to_loop(struct task *task)
{
	switch_between(&task->coroutine, &host.loop, task->is_over);
}

static void create_stack(struct coroutine *coroutine, void (*begin)(void))
{
	coroutine->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)getcontext(&coroutine->context);
	coroutine->context.uc_stack.ss_sp = coroutine->stack;
	coroutine->context.uc_stack.ss_size = STACK_SIZE;
	coroutine->context.uc_link = NULL;
	makecontext(&coroutine->context, begin, 0);
}

static void free_stack(struct coroutine *coroutine)
{
	(void)munmap(coroutine->stack, STACK_SIZE);
	free(coroutine->copy);
}

static void free_task(struct task *task)
{
	struct task **at = &host.tasks;

	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	free_stack(&task->coroutine);
	free(task);
}

/* On the stack of the loop. */
static void run(struct task *task)
{
	host.running = task;
	switch_between(&host.loop, &task->coroutine, false);
	host.running = NULL;
	if (task->is_over)
		free_task(task);
}

static void begin(void)
{
	struct task *const task = host.running;

	after_switch(&host.loop, &task->coroutine);
	task->function(task->user);
	task->is_over = true;
	switch_to_loop(task);
}

static struct task *create(void (*function)(void *user), void *user)
{
	struct task *const task = calloc(1, sizeof *task);

	create_stack(&task->coroutine, begin);
	task->function = function;
	task->user = user;
	task->next = host.tasks;
	host.tasks = task;
	return task;
}

static void make_ready(struct task *task)
{
	if (task->is_ready)
		return;
	task->is_ready = true;
	task->next_ready = NULL;
	*host.last_ready = task;
	host.last_ready = &task->next_ready;
}

static void run_ready(void)
{
	struct task *task, *next;

	task = host.ready; /* those that become ready meanwhile: in the next turn */
	host.ready = NULL;
	host.last_ready = &host.ready;
	for (; task; task = next) {
		next = task->next_ready;
		task->is_ready = false;
		run(task);
	}
}

struct task *task_self(void)
{
	return host.running;
}

bool task_is_cancelled(void)
{
	return host.is_cancelled;
}

void task_spawn(void (*function)(void *user), void *user)
{
	make_ready(create(function, user));
}

int task_sleep(unsigned ms)
{
	struct task *const task = host.running;

	task->wake_ms = now_ms() + ms;
	while (task->wake_ms > 0 && !task->is_interrupted)
		switch_to_loop(task);
	task->wake_ms = 0;
	const bool was_interrupted = task->is_interrupted;
	task->is_interrupted = false;
	return was_interrupted ? -1 : 0;
}

void task_interrupt(struct task *task)
{
	struct task *found = host.tasks;

	while (found && found != task)
		found = found->next;
	if (!found)
		return; /* it has ended */
	task->is_interrupted = true;
	make_ready(task);
}

static void work(void *connection)
{
	prefork_connection_work(connection);
}

static int submit(struct prefork_connection *connection, void *user)
{
	(void)user;
	if (task_options.refuse > 0) {
		task_options.refuse--;
		return -EAGAIN;
	}
	struct task *const task = create(work, connection);
	if (task_options.is_late)
		make_ready(task);
	else
		run(task);
	return 0;
}

static int park(struct prefork_wait *wait, void *user)
{
	struct task *const task = host.running;

	(void)user;
	if (!task)
		return -EINVAL; /* the loop itself cannot wait */
	prefork_wait_set_user(wait, task);
	task->wait = wait;
	task->is_parked = true;
	if (!task->is_interrupted)
		switch_to_loop(task);
	task->is_parked = false;
	task->wait = NULL;
	const bool was_interrupted = task->is_interrupted;
	task->is_interrupted = false;
	return was_interrupted ? -ECANCELED : 0;
}

static void unpark(struct prefork_wait *wait, void *user)
{
	struct task *const task = prefork_wait_user(wait);

	(void)user;
	if (!task->is_parked || task->wait != wait)
		return;
	if (task_options.is_late || task->is_ready)
		make_ready(task);
	else
		run(task);
}

static void cancel_tasks(void *user)
{
	(void)user;
	if (task_options.ignores_cancel)
		return;
	host.is_cancelled = true;
	for (struct task *task = host.tasks; task; task = task->next) {
		if (task->wake_ms > 0)
			task_interrupt(task);
	}
}

/* Milliseconds until a sleep ends; -1: none. */
static int wake_sleepers(void)
{
	uint64_t first_ms = UINT64_MAX;
	const uint64_t at_ms = now_ms();

	for (struct task *task = host.tasks; task; task = task->next) {
		if (task->wake_ms > 0 && task->wake_ms <= at_ms) {
			task->wake_ms = 0;
			make_ready(task);
		} else if (task->wake_ms > 0 && task->wake_ms < first_ms) {
			first_ms = task->wake_ms;
		}
	}
	return host.ready ? 0 : first_ms == UINT64_MAX ? -1 : (int)(first_ms - at_ms);
}

static bool turn(void)
{
	struct epoll_event event;
	const int timeout_ms = wake_sleepers();
	bool goes_on = true;

	if (task_options.reports_idle)
		prefork_worker_idle(host.worker);
	const int count = epoll_wait(host.epoll, &event, 1, timeout_ms);
	if (task_options.reports_idle)
		prefork_worker_busy(host.worker);
	if (count > 0 && event.data.u64 == worker_key)
		goes_on = prefork_worker_dispatch(host.worker) == 1;
	else if (count > 0)
		prefork_worker_listener_ready(host.worker, (size_t)event.data.u64);
	run_ready();
	return goes_on;
}

static int change(int operation, int fd, uint64_t key)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = key };

	return epoll_ctl(host.epoll, operation, fd, &event) < 0 ? prefork_fail(-errno, "epoll_ctl: %s", strerror(errno)) : 0;
}

static int listener_fd(size_t index)
{
	return prefork_listener_fd(prefork_worker_listener(host.worker, index));
}

static void stop_listeners(void *user)
{
	(void)user;
	for (size_t i = 0; i < prefork_worker_listeners(host.worker); i++)
		(void)change(EPOLL_CTL_DEL, listener_fd(i), 0);
}

static int watch(void)
{
	int r = change(EPOLL_CTL_ADD, prefork_worker_poll_fd(host.worker), worker_key);

	for (size_t i = 0; r == 0 && i < prefork_worker_listeners(host.worker); i++)
		r = change(EPOLL_CTL_ADD, listener_fd(i), i);
	return r == 0 ? prefork_worker_adopt_listeners(host.worker) : r;
}

static int serve(struct prefork_worker *worker)
{
	const struct prefork_host_loop loop = {
		.struct_size = sizeof loop,
		.flags = task_options.reports_idle ? PREFORK_LOOP_REPORTS_IDLE : 0,
		.submit = submit,
		.park = park,
		.unpark = unpark,
		.cancel_tasks = cancel_tasks,
		.listeners_closing = stop_listeners,
	};
	int r = prefork_worker_poll_open(worker, &loop, NULL);

	if (r == 0)
		r = watch();
	while (r == 0 && turn())
		continue;
	prefork_worker_poll_close(worker);
	return r;
}

/* The loop has a stack of its own, which is hidden while a task runs. */
static void begin_loop(void)
{
	after_switch(&host.main, &host.loop);
	host.result = serve(host.worker);
	switch_between(&host.loop, &host.main, true);
}

static int run_loop(struct prefork_worker *worker, void *user)
{
	(void)user;
	host = (struct host){ .worker = worker, .epoll = epoll_create1(EPOLL_CLOEXEC), .last_ready = &host.ready };
	create_stack(&host.loop, begin_loop);
#ifdef HAS_ASAN
	__sanitizer_start_switch_fiber(&host.main.fake_stack, host.loop.stack, STACK_SIZE);
#endif
	(void)swapcontext(&host.main.context, &host.loop.context);
	after_switch(&host.loop, &host.main);
	free_stack(&host.loop);
	(void)close(host.epoll);
	return host.result;
}

const struct prefork_strategy task_driver = {
	.struct_size = sizeof task_driver,
	.name = "task-driver",
	.traits = PREFORK_STRATEGY_REPORTS_READY | PREFORK_STRATEGY_TURNS,
	.run = run_loop,
};
