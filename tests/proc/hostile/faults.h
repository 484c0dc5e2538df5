/*
 * faults -- system calls and allocations that fail on demand.
 *
 * The linker puts these between the library and libc (-Wl,--wrap, see
 * meson.build), so that the library is the one that is installed. The plan is in
 * shared memory: it applies to workers, too, and the test reads their counts.
 *
 * A successful assertion of Check allocates: no assertion between arm and disarm.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

/* MEMORY is every call that allocates, so that "the n-th allocation" counts all of them. */
#define FAULT_CALLS(X)                                                                                        \
	X(MEMORY) X(FORK) X(MMAP) X(SOCKET) X(BIND) X(LISTEN) X(ACCEPT) X(SOCKETPAIR) X(EPOLL_CREATE) X(EPOLL_CTL) \
	X(EVENTFD) X(TIMERFD) X(TIMER) X(SIGACTION) X(OPEN) X(PIDFD) X(THREAD)

#define FAULT_ENUM(name) FAULT_##name,
enum fault_call { FAULT_NONE, FAULT_CALLS(FAULT_ENUM) FAULT_COUNT };
#undef FAULT_ENUM

enum fault_side { FAULT_IN_ARBITER, FAULT_IN_WORKERS };

struct fault {
	enum fault_call call;
	int error;
};

void faults_open(void); /* before the first fork; the caller is the arbiter */
void faults_close(void);

/* The `nth` call from now on fails, and so do the `times` - 1 after it. */
void faults_arm(struct fault fault, enum fault_side side, int nth, int times);
void faults_disarm(void);

/* Since the last arm: calls of that kind on that side, and how many of them failed. */
int faults_calls(void);
int faults_hits(void);

const char *fault_name(enum fault_call call);

#endif
