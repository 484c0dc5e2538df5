/*
 * A thread that waits where the event loop of a worker class does not: it sends the first thread a signal.
 *
 *     this thread                        first thread
 *     -----------                        ------------
 *     poll(control descriptor, time)
 *     readable, or time is over  ---->   Python's handler of the signal: check(), and what follows from it
 *     waits                      <----   wsgi_control_watch_again(time)
 *     poll(...)
 *
 * It has no thread state of Python and takes no GIL.
 */
#include "control_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	pthread_t thread, first;
	int fd, stop_fd, signo;
	sem_t handled;
	atomic_int after_ms;
	bool runs;
} watch;

static void *run(void *unused)
{
	struct pollfd fds[] = { { .fd = watch.fd, .events = POLLIN }, { .fd = watch.stop_fd, .events = POLLIN } };

	(void)unused;
	for (;;) {
		const int count = poll(fds, 2, atomic_load(&watch.after_ms));

		if (count < 0 && errno != EINTR)
			return NULL;
		if (count > 0 && fds[1].revents)
			return NULL;
		if (count < 0)
			continue;
		(void)pthread_kill(watch.first, watch.signo);
		while (sem_wait(&watch.handled) < 0) {
		}
	}
}

static int start_thread(void)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&watch.thread, NULL, run, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int wsgi_control_watch_start(int fd, int signo)
{
	int r;

	if (watch.runs)
		return -EALREADY;
	watch.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch.stop_fd < 0)
		return -errno;
	watch.fd = fd;
	watch.signo = signo;
	watch.first = pthread_self();
	(void)sem_init(&watch.handled, 0, 0);
	atomic_store(&watch.after_ms, -1);
	r = start_thread();
	watch.runs = r == 0;
	if (r < 0)
		(void)close(watch.stop_fd);
	return r;
}

void wsgi_control_watch_again(int after_ms)
{
	int count = 0;

	if (!watch.runs)
		return;
	atomic_store(&watch.after_ms, after_ms);
	if (sem_getvalue(&watch.handled, &count) == 0 && count == 0)
		(void)sem_post(&watch.handled);
}

static struct sigaction after_dump; /* Python's, of SIGABRT */

/* The library has a thread that gets SIGURG by tgkill(2) log its stack (docs/signals.md). */
static void on_abort(int signo)
{
	const int saved_errno = errno;

	(void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGURG);
	after_dump.sa_handler(signo);
	errno = saved_errno;
}

void wsgi_control_watch_abort(void)
{
	struct sigaction action;

	if (sigaction(SIGABRT, NULL, &after_dump) < 0 || after_dump.sa_handler == SIG_DFL ||
	    after_dump.sa_handler == SIG_IGN || after_dump.sa_handler == on_abort)
		return;
	action = after_dump;
	action.sa_handler = on_abort;
	(void)sigaction(SIGABRT, &action, NULL);
}

void wsgi_control_watch_stop(void)
{
	const uint64_t one = 1;

	if (!watch.runs)
		return;
	watch.runs = false;
	(void)!write(watch.stop_fd, &one, sizeof one);
	(void)sem_post(&watch.handled);
	(void)pthread_join(watch.thread, NULL);
	(void)close(watch.stop_fd);
	(void)sem_destroy(&watch.handled);
}
