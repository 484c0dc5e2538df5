/* A worker whose descriptors the application has closed, which two threads notice at the same time. */
#include "../support.h"

#include "model/worker_score.h"
#include "worker/own_fds.h"
#include "worker/spawn_context.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

enum { THREADS = 2, LOST = 1 };

static struct prefork_worker worker;
static struct pfi_spawn_context context;
static struct pfi_own_fd lost = { .fd = -1, .name = "timer" };
static atomic_bool describes; /* the first thread */
static atomic_bool waits;     /* the second one   */
static bool is_worker;

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __real_nanosleep(const struct timespec *duration, struct timespec *left);
int __wrap_nanosleep(const struct timespec *duration, struct timespec *left);

/* In the worker it is called for the note, which is not complete before the other thread waits, or ends the process. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	atomic_store(&describes, is_worker);
	while (is_worker && !atomic_load(&waits))
		(void)sched_yield();
	return __real_poll(fds, count, timeout_ms);
}

int __wrap_nanosleep(const struct timespec *duration, struct timespec *left)
{
	atomic_store(&waits, true);
	return __real_nanosleep(duration, left);
}

static void *be_second(void *unused)
{
	(void)unused;
	while (!atomic_load(&describes))
		(void)sched_yield();
	pfi_own_fds_lost(&worker);
}

static _Noreturn void be_worker(void)
{
	pthread_t second;

	is_worker = true;
	if (pthread_create(&second, NULL, be_second, NULL) != 0)
		_exit(100);
	pfi_own_fds_lost(&worker);
}

START_TEST(the_note_is_complete_before_any_thread_exits)
{
	const size_t bytes = pfi_worker_score_bytes(THREADS);
	struct pfi_worker_score *const score = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int pipe_fds[2], status;

	ck_assert_ptr_ne(score, MAP_FAILED);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	lost.fd = pipe_fds[0];
	ck_assert_int_eq(close(pipe_fds[0]) + close(pipe_fds[1]), 0);
	context.score = score;
	worker.context = &context;
	worker.threads = THREADS - 1;
	worker.own_fds.list = &lost;
	worker.own_fds.count = 1;
	const pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		be_worker();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == LOST, "status %d", status);
	ck_assert_msg(strstr(score->exit_note, "has closed the worker's timer") != NULL, "the note is '%s'", score->exit_note);
	(void)munmap(score, bytes);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("own_fds");
	TCase *const tc = new_case(suite, "own_fds");

	tcase_add_test(tc, the_note_is_complete_before_any_thread_exits);
	return run_suite(suite);
}
