#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct plan {
	_Atomic int call;
	int error;
	enum fault_side side;
	pid_t arbiter;
	int nth, times;
	_Atomic int calls, hits;
} *plan;

static bool is_due(enum fault_call call)
{
	if (plan == NULL || atomic_load(&plan->call) != (int)call)
		return false;
	if ((getpid() == plan->arbiter) != (plan->side == FAULT_IN_ARBITER))
		return false;

	const int n = atomic_fetch_add(&plan->calls, 1) + 1;

	if (n < plan->nth || n >= plan->nth + plan->times)
		return false;
	atomic_fetch_add(&plan->hits, 1);
	errno = plan->error;
	return true;
}

#define REAL(type, name, ...)                   \
	type __real_##name(__VA_ARGS__);        \
	type __wrap_##name(__VA_ARGS__);        \
	type __wrap_##name(__VA_ARGS__)
#define FAILS_AS(call, result, real)            \
	{                                       \
		return is_due(FAULT_##call) ? (result) : (real); \
	}

REAL(void *, malloc, size_t size) FAILS_AS(MEMORY, NULL, __real_malloc(size))
REAL(void *, calloc, size_t count, size_t size) FAILS_AS(MEMORY, NULL, __real_calloc(count, size))
REAL(void *, realloc, void *old, size_t size) FAILS_AS(MEMORY, NULL, __real_realloc(old, size))
REAL(char *, strdup, const char *text) FAILS_AS(MEMORY, NULL, __real_strdup(text))
REAL(char *, strndup, const char *text, size_t size) FAILS_AS(MEMORY, NULL, __real_strndup(text, size))
REAL(pid_t, fork, void) FAILS_AS(FORK, -1, __real_fork())
REAL(int, socket, int domain, int type, int protocol) FAILS_AS(SOCKET, -1, __real_socket(domain, type, protocol))
REAL(int, bind, int fd, const struct sockaddr *address, socklen_t size)
FAILS_AS(BIND, -1, __real_bind(fd, address, size))
REAL(int, listen, int fd, int backlog) FAILS_AS(LISTEN, -1, __real_listen(fd, backlog))
REAL(int, accept4, int fd, struct sockaddr *address, socklen_t *size, int flags)
FAILS_AS(ACCEPT, -1, __real_accept4(fd, address, size, flags))
REAL(int, socketpair, int domain, int type, int protocol, int *fds)
FAILS_AS(SOCKETPAIR, -1, __real_socketpair(domain, type, protocol, fds))
REAL(int, epoll_create1, int flags) FAILS_AS(EPOLL_CREATE, -1, __real_epoll_create1(flags))
REAL(int, eventfd, unsigned value, int flags) FAILS_AS(EVENTFD, -1, __real_eventfd(value, flags))
REAL(int, timerfd_create, int clock, int flags) FAILS_AS(TIMERFD, -1, __real_timerfd_create(clock, flags))
REAL(int, timer_create, clockid_t clock, struct sigevent *event, timer_t *timer)
FAILS_AS(TIMER, -1, __real_timer_create(clock, event, timer))

REAL(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
FAILS_AS(THREAD, errno, __real_pthread_create(thread, attributes, body, argument))

/* Removing an entry does not fail because of a lack of memory. */
REAL(int, epoll_ctl, int set, int operation, int fd, struct epoll_event *event)
{
	if (operation != EPOLL_CTL_DEL && is_due(FAULT_EPOLL_CTL))
		return -1;
	return __real_epoll_ctl(set, operation, fd, event);
}

/* Restoring a disposition does not fail either. */
REAL(int, sigaction, int signo, const struct sigaction *action, struct sigaction *before)
{
	if (action != NULL && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN && is_due(FAULT_SIGACTION))
		return -1;
	return __real_sigaction(signo, action, before);
}

/* With 64-bit offsets, the functions have other names on some platforms. */
#define MMAP(name)                                                                               \
	REAL(void *, name, void *at, size_t size, int protection, int flags, int fd, off_t offset) \
	FAILS_AS(MMAP, MAP_FAILED, __real_##name(at, size, protection, flags, fd, offset))
MMAP(mmap)
MMAP(mmap64)

#define OPEN(name)                                                              \
	int __real_##name(const char *path, int flags, ...);                    \
	int __wrap_##name(const char *path, int flags, ...);                    \
	int __wrap_##name(const char *path, int flags, ...)                     \
	{                                                                       \
		va_list arguments;                                              \
		va_start(arguments, flags);                                     \
		const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0; \
		va_end(arguments);                                              \
		return is_due(FAULT_OPEN) ? -1 : __real_##name(path, flags, mode); \
	}
OPEN(open)
OPEN(open64)

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long a[5];
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 5; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_pidfd_open && is_due(FAULT_PIDFD))
		return -1;
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4]);
}

void faults_open(void)
{
	void *const score = __real_mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (score == MAP_FAILED)
		abort();
	plan = score;
	plan->arbiter = getpid();
}

void faults_close(void)
{
	(void)munmap(plan, sizeof *plan);
	plan = NULL;
}

void faults_arm(struct fault fault, enum fault_side side, int nth, int times)
{
	plan->error = fault.error;
	plan->side = side;
	plan->nth = nth;
	plan->times = times;
	atomic_store(&plan->calls, 0);
	atomic_store(&plan->hits, 0);
	atomic_store(&plan->call, (int)fault.call);
}

void faults_disarm(void)
{
	atomic_store(&plan->call, FAULT_NONE);
}

int faults_calls(void)
{
	return atomic_load(&plan->calls);
}

int faults_hits(void)
{
	return atomic_load(&plan->hits);
}

const char *fault_name(enum fault_call call)
{
#define FAULT_NAME(name) [FAULT_##name] = #name,
	static const char *const names[] = { [FAULT_NONE] = "nothing", FAULT_CALLS(FAULT_NAME) };
#undef FAULT_NAME

	return names[call];
}
