/* The table of the library's descriptors: one atomic entry per number, in memory that never moves, so that a forked
 * child can read it without a lock. */
#include "os/fdtable.h"

#include "os/standard_fds.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Entries lie in chunks of one page each. A chunk is mapped when a number in it is first used, and never moves, so that
 * readers need no lock: in a forked child, the thread that held a lock would not exist. */
enum { CHUNK = 512, CHUNKS = 1 << 12 };

/* Bits of an entry: kind, kept in this child, of a new file, slot, arbiter. 0: not a descriptor of the library. */
enum { KEPT_SHIFT = 8, NEW_SHIFT = 9, SLOT_SHIFT = 16, ARBITER_SHIFT = 40 };
#define KIND_MASK UINT64_C(0xff)
#define KEPT_BIT (UINT64_C(1) << KEPT_SHIFT)
#define NEW_BIT (UINT64_C(1) << NEW_SHIFT)

typedef _Atomic uint64_t entry;

static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2, "a forked child reads entries without a lock");

static _Atomic(entry *) chunks[CHUNKS];
static atomic_int top; /* above every number that has ever been entered */

static atomic_int inside; /* threads between pfi_fdtable_begin() and pfi_fdtable_end() */
static atomic_int forking;
static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER; /* held by the thread that forks */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool is_registered;
atomic_bool pfi_fdtable_forgotten;
atomic_uint pfi_fdtable_forks;
/* Read in a handler of pthread_atfork(3): initial-exec, because a dynamic TLS block may be allocated at first use. */
static _Thread_local bool is_spawning __attribute__((tls_model("initial-exec")));

static void before_fork(void)
{
	(void)pthread_mutex_lock(&fork_lock);
	atomic_store(&forking, 1);
	while (atomic_load(&inside) > 0)
		(void)sched_yield();
}

static void in_parent(void)
{
	atomic_store(&forking, 0);
	(void)pthread_mutex_unlock(&fork_lock);
}

static void in_child(void)
{
	(void)atomic_fetch_add(&pfi_fdtable_forks, 1);
	in_parent();
}

/* glibc and musl remove the handlers when the object that contains them is unloaded with dlclose(3). If there is no
 * memory for them, a fork is not delayed and may copy a descriptor that is open but not entered. */
static void register_handlers(void)
{
	(void)pthread_atfork(before_fork, in_parent, in_child);
	atomic_store_explicit(&is_registered, true, memory_order_release);
}

__attribute__((noinline)) static void register_and_begin(void)
{
	(void)pthread_once(&once, register_handlers);
	for (;;) {
		(void)atomic_fetch_add(&inside, 1);
		if (atomic_load(&forking) == 0)
			return;
		(void)atomic_fetch_sub(&inside, 1);
		(void)pthread_mutex_lock(&fork_lock);
		(void)pthread_mutex_unlock(&fork_lock);
	}
}

/* This thread increments `inside` and then reads `forking`; before_fork() sets `forking` and then reads `inside`. Both
 * are sequentially consistent, so that at least one of the two sees the other. */
void pfi_fdtable_begin(void)
{
	if (atomic_load_explicit(&is_registered, memory_order_acquire)) {
		(void)atomic_fetch_add(&inside, 1);
		if (atomic_load(&forking) == 0)
			return;
		(void)atomic_fetch_sub(&inside, 1);
	}
	register_and_begin();
}

void pfi_fdtable_end(void)
{
	(void)atomic_fetch_sub(&inside, 1);
}

static entry *find(int fd)
{
	if (fd < 0 || fd >= CHUNK * CHUNKS)
		return NULL;
	entry *const chunk = atomic_load_explicit(&chunks[fd / CHUNK], memory_order_acquire);
	return chunk ? &chunk[fd % CHUNK] : NULL;
}

static int map_chunk(size_t index)
{
	entry *none = NULL;
	void *const page = mmap(NULL, CHUNK * sizeof(entry), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -errno;
	if (!atomic_compare_exchange_strong(&chunks[index], &none, (entry *)page))
		(void)munmap(page, CHUNK * sizeof(entry)); /* another thread was faster */
	return 0;
}

/* Without this, a program that loads and unloads the library repeatedly would leak the chunks. */
__attribute__((destructor)) static void unmap_chunks(void)
{
	for (size_t i = 0; i < CHUNKS; i++) {
		entry *const chunk = atomic_exchange(&chunks[i], NULL);

		if (chunk)
			(void)munmap((void *)chunk, CHUNK * sizeof(entry));
	}
}

static uint64_t fresh_entry(enum pfi_fd_kind kind)
{
	return (uint64_t)kind | (uint64_t)PFI_FD_NO_SLOT << SLOT_SHIFT;
}

static int put(int fd, enum pfi_fd_kind kind)
{
	int now = atomic_load(&top);

	if (fd >= CHUNK * CHUNKS)
		return -EMFILE;
	entry *at = find(fd);
	if (!at) {
		const int r = map_chunk((size_t)fd / CHUNK);

		if (r < 0)
			return r;
		at = find(fd);
	}
	atomic_store_explicit(at, fresh_entry(kind), memory_order_relaxed);
	while (now <= fd && !atomic_compare_exchange_weak(&top, &now, fd + 1))
		continue;
	return 0;
}

/* Duplicate to a number above 2, so that nothing that the program prints reaches the descriptor. */
static int move_up(int fd)
{
	const int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	const int r = higher < 0 ? -errno : higher;

	(void)close(fd);
	(void)pfi_standard_fds_fill();
	return r;
}

int pfi_fdtable_enter(int fd, enum pfi_fd_kind kind)
{
	if (fd < 0)
		return -errno;
	if (fd <= STDERR_FILENO)
		fd = move_up(fd);
	if (fd < 0)
		return fd;
	const int r = put(fd, kind);
	if (r < 0)
		(void)close(fd);
	return r < 0 ? r : fd;
}

int pfi_fdtable_adopt(int fd, enum pfi_fd_kind kind)
{
	pfi_fdtable_begin();
	const int r = put(fd, kind);
	pfi_fdtable_end();
	return r;
}

void pfi_fdtable_remove(int fd)
{
	entry *const at = find(fd);

	if (at)
		atomic_store_explicit(at, 0, memory_order_relaxed);
}

void pfi_fdtable_close(int fd)
{
	entry *const at = find(fd);

	if (!at || atomic_load_explicit(at, memory_order_relaxed) == 0) {
		(void)close(fd);
		return;
	}
	pfi_fdtable_begin();
	atomic_store_explicit(at, 0, memory_order_relaxed);
	(void)close(fd);
	pfi_fdtable_end();
}

void pfi_fdtable_set_owner(int fd, uint32_t arbiter, unsigned slot)
{
	entry *const at = find(fd);
	const uint64_t now = at ? atomic_load_explicit(at, memory_order_relaxed) : 0;

	if ((now & KIND_MASK) != PFI_FD_NONE)
		atomic_store_explicit(at, (now & (KIND_MASK | NEW_BIT)) | (uint64_t)(slot & PFI_FD_NO_SLOT) << SLOT_SHIFT |
						  (uint64_t)arbiter << ARBITER_SHIFT, memory_order_relaxed);
}

static struct pfi_fd_entry unpack(uint64_t bits)
{
	return (struct pfi_fd_entry){ (enum pfi_fd_kind)(bits & KIND_MASK), (uint32_t)(bits >> ARBITER_SHIFT),
				      (unsigned)(bits >> SLOT_SHIFT) & PFI_FD_NO_SLOT };
}

struct pfi_fd_entry pfi_fdtable_look_up(int fd)
{
	entry *const at = find(fd);

	return unpack(at ? atomic_load_explicit(at, memory_order_relaxed) : 0);
}

void pfi_fdtable_set_new(int fd, bool is_new)
{
	entry *const at = find(fd);

	if (at && is_new && atomic_load_explicit(at, memory_order_relaxed) != 0)
		(void)atomic_fetch_or_explicit(at, NEW_BIT, memory_order_relaxed);
	else if (at && !is_new)
		(void)atomic_fetch_and_explicit(at, ~NEW_BIT, memory_order_relaxed);
}

bool pfi_fdtable_is_new(int fd)
{
	entry *const at = find(fd);

	return at && (atomic_load_explicit(at, memory_order_relaxed) & NEW_BIT) != 0;
}

int pfi_fdtable_find_new(uint32_t arbiter)
{
	const int end = atomic_load(&top);

	for (int fd = 0; fd < end; fd++) {
		const uint32_t owner = pfi_fdtable_look_up(fd).arbiter;

		if (pfi_fdtable_is_new(fd) && (owner == 0 || owner == arbiter))
			return fd;
	}
	return -1;
}

int pfi_fdtable_next(int from, enum pfi_fd_kind kind)
{
	const int end = atomic_load(&top);

	for (int fd = from; fd < end; fd++) {
		if (pfi_fdtable_look_up(fd).kind == kind)
			return fd;
	}
	return -1;
}

bool pfi_fdtable_has_other_listener(uint32_t arbiter)
{
	const int end = atomic_load(&top);

	for (int fd = 0; fd < end; fd++) {
		const struct pfi_fd_entry it = pfi_fdtable_look_up(fd);

		if (it.kind == PFI_FD_LISTENER && it.arbiter != 0 && it.arbiter != arbiter)
			return true;
	}
	return false;
}

const char *pfi_fd_kind_name(enum pfi_fd_kind kind)
{
	static const char *const names[PFI_FD_KINDS] = {
		[PFI_FD_NONE] = "no descriptor of the library", [PFI_FD_EPOLL] = "an epoll set",
		[PFI_FD_EVENT] = "an eventfd",                  [PFI_FD_TIMER] = "a timer",
		[PFI_FD_PIDFD] = "a pidfd",                     [PFI_FD_CHANNEL] = "the control channel",
		[PFI_FD_LISTENER] = "a listener",               [PFI_FD_PATH] = "the path of a unix socket",
		[PFI_FD_CONNECTION] = "a connection",           [PFI_FD_LOG] = "a log",
		[PFI_FD_WATCHED] = "a watched descriptor",      [PFI_FD_KEPT] = "a kept descriptor",
		[PFI_FD_PIDFILE] = "the pid file",              [PFI_FD_NOTIFY] = "the notify socket",
	};

	return (unsigned)kind < PFI_FD_KINDS ? names[kind] : "";
}

/* The number had an entry before: its memory is mapped, and `top` is above it. */
int pfi_fdtable_enter_connection(int fd)
{
	entry *const at = fd > STDERR_FILENO ? find(fd) : NULL;

	if (!at || fd >= atomic_load_explicit(&top, memory_order_relaxed))
		return pfi_fdtable_enter(fd, PFI_FD_CONNECTION);
	atomic_store_explicit(at, fresh_entry(PFI_FD_CONNECTION), memory_order_relaxed);
	return fd;
}

void pfi_fdtable_keep(int fd)
{
	entry *const at = find(fd);

	if (at && atomic_load_explicit(at, memory_order_relaxed) != 0)
		(void)atomic_fetch_or_explicit(at, KEPT_BIT, memory_order_relaxed);
}

void pfi_fdtable_close_rest(uint32_t arbiter)
{
	const int end = atomic_load(&top);

	/* It was set in the process that has become an arbiter, and its workers have connections of their own. */
	atomic_store(&pfi_fdtable_forgotten, false);
	for (int fd = 0; fd < end; fd++) {
		entry *const at = find(fd);
		const uint64_t bits = at ? atomic_load_explicit(at, memory_order_relaxed) : 0;
		const struct pfi_fd_entry it = unpack(bits);

		if (it.kind == PFI_FD_NONE)
			continue;
		if (it.kind == PFI_FD_LOG && (it.arbiter == 0 || it.arbiter == arbiter))
			continue;
		if (bits & KEPT_BIT) {
			atomic_store_explicit(at, bits & ~KEPT_BIT, memory_order_relaxed);
			continue;
		}
		atomic_store_explicit(at, 0, memory_order_relaxed);
		(void)close(fd);
	}
}

static int close_range_from(int first, int last)
{
	if (first > last)
		return 0;
	/* Linux 5.9; musl has no wrapper. */
	return syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0U) < 0 ? -errno : 0;
}

int pfi_fdtable_close_unlisted(void)
{
	const int end = atomic_load(&top);
	int from = STDERR_FILENO + 1;

	for (int fd = from; fd < end; fd++) {
		if (pfi_fdtable_look_up(fd).kind == PFI_FD_NONE)
			continue;
		const int r = close_range_from(from, fd - 1);
		if (r < 0)
			return r;
		from = fd + 1;
	}
	return close_range_from(from, INT_MAX);
}

void pfi_fdtable_forget(void)
{
	const int saved_errno = errno, end = atomic_load(&top);

	/* clone(2) runs no pthread_atfork(3) handlers: a thread that was inside at that moment does not exist here. */
	atomic_store(&inside, 0);
	for (int fd = 0; fd < end; fd++) {
		const enum pfi_fd_kind kind = pfi_fdtable_look_up(fd).kind;

		if (kind == PFI_FD_NONE || kind == PFI_FD_LOG)
			continue;
		pfi_fdtable_remove(fd);
		(void)close(fd);
	}
	atomic_store(&pfi_fdtable_forgotten, true);
	errno = saved_errno;
}

void pfi_fdtable_set_spawning(bool spawning)
{
	is_spawning = spawning;
}

bool pfi_fdtable_is_spawning(void)
{
	return is_spawning;
}
