/* Checks, after callbacks, that the application has not closed a descriptor that the worker needs. */
#include "worker/own_fds.h"

#include "base/text.h"
#include "model/worker_score.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/signal_pipe.h"
#include "os/standard_fds.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/listener.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	OTHER_FDS_MAX = 32,  /* besides the listeners                            */
	CALLBACKS_MS = 1000, /* time for other threads to return from a callback */
	EXIT_LOST = 1,
};

void pfi_own_fds_add(struct prefork_worker *worker, int fd, const char *name)
{
	struct pfi_own_fds *const own = &worker->own_fds;

	if (fd >= 0 && own->count < own->capacity)
		own->list[own->count++] = (struct pfi_own_fd){ .fd = fd, .name = name };
}

static ino_t socket_inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

/* Those that exist at the start of the worker: files, and the sockets of syslog. A line that is sent to another socket
 * with the number of the log would reach the peer of that one. */
static void add_logs(struct prefork_worker *worker)
{
	struct pfi_own_fds *const own = &worker->own_fds;

	for (int fd = -1; (fd = pfi_fdtable_next(fd + 1, PFI_FD_LOG)) >= 0 && own->count < own->capacity;)
		own->list[own->count++] = (struct pfi_own_fd){ fd, "log", true, socket_inode(fd) };
}

int pfi_own_fds_open(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	struct pfi_own_fds *const own = &worker->own_fds;

	own->list = calloc(worker->listener_count + OTHER_FDS_MAX, sizeof *own->list);
	if (!own->list)
		return prefork_fail(-ENOMEM, "no memory for a list of descriptors");
	own->capacity = worker->listener_count + OTHER_FDS_MAX;
	pfi_own_fds_add(worker, context->channel, "control channel");
	pfi_own_fds_add(worker, context->arbiter_pidfd, "parent-death watch");
	pfi_own_fds_add(worker, context->watchdog, "watchdog timer");
	pfi_own_fds_add(worker, pfi_signal_pipe_fd(), "signal eventfd");
	pfi_own_fds_add(worker, worker->fd, "epoll set");
	pfi_own_fds_add(worker, worker->wake_fd, "wake-up eventfd");
	pfi_own_fds_add(worker, worker->quit_fd, "quit eventfd");
	for (size_t i = 0; i < worker->listener_count; i++)
		pfi_own_fds_add(worker, prefork_listener_fd(worker->listeners[i].listener), "listener");
	add_logs(worker);
	return 0;
}

void pfi_own_fds_clear(struct prefork_worker *worker)
{
	worker->own_fds.count = 0;
}

void pfi_own_fds_close(struct prefork_worker *worker)
{
	pfi_own_fds_clear(worker);
	free(worker->own_fds.list);
	worker->own_fds.list = NULL;
	worker->own_fds.capacity = 0;
}

/* Closed by prefork_log_destroy(), which removes the entry. */
static bool is_given_up(const struct pfi_own_fd *own)
{
	return own->is_log && pfi_fdtable_look_up(own->fd).kind != PFI_FD_LOG;
}

static bool is_replaced(const struct pfi_own_fd *own)
{
	return own->inode != 0 && !is_given_up(own) && socket_inode(own->fd) != own->inode;
}

static bool is_closed(const struct pfi_own_fd *own)
{
	struct pollfd pollfd = { .fd = own->fd };

	return (poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLNVAL) && !is_given_up(own)) || is_replaced(own);
}

/* Returns how many are closed, and writes the exit note about it. */
static size_t describe_closed(const struct prefork_worker *worker, struct pfi_text *text)
{
	const struct pfi_own_fds *const own = &worker->own_fds;
	size_t closed = 0;

	pfi_text_add(text, "the application has closed the worker's ");
	for (size_t i = 0; i < own->count; i++) {
		if (!is_closed(&own->list[i]))
			continue;
		if (closed++ == 0)
			pfi_text_format(text, "%s (descriptor %d)", own->list[i].name, own->list[i].fd);
	}
	if (closed > 1)
		pfi_text_format(text, " and %zu more", closed - 1);
	return closed;
}

int pfi_own_fds_verify(const struct prefork_worker *worker)
{
	char bytes[PFI_EXIT_NOTE_SIZE];
	struct pfi_text text;

	pfi_text_init(&text, bytes, sizeof bytes);
	return describe_closed(worker, &text) > 0 ? prefork_fail(-EBADF, "%s", bytes) : 0;
}

void pfi_exit_note(struct prefork_worker *worker, const char *text)
{
	char *const note = worker->context->score->exit_note;
	const size_t length = strnlen(text, PFI_EXIT_NOTE_SIZE - 1);

	memcpy(note, text, length);
	note[length] = 0;
}

static bool others_in_callback(const struct prefork_worker *worker)
{
	const unsigned self = pfi_worker_thread(worker);

	for (unsigned i = 0; i <= worker->threads; i++) {
		if (i != self && atomic_load(&worker->context->score->thread_slots[i].deadline_ms) != 0)
			return true;
	}
	return false;
}

/* As in a crash, worker_stop is not called: descriptors of the application may be closed as well. */
_Noreturn void pfi_own_fds_lost(struct prefork_worker *worker)
{
	static const struct timespec pause = { .tv_nsec = 5000000 };
	const uint64_t until_ms = pfi_now_ms() + CALLBACKS_MS;

	if (!atomic_exchange(&worker->own_fds.lost, true)) {
		char bytes[PFI_EXIT_NOTE_SIZE];
		struct pfi_text text;

		pfi_text_init(&text, bytes, sizeof bytes);
		pfi_exit_note(worker, describe_closed(worker, &text) > 0 ? bytes :
				      "the application has closed a descriptor of the worker and opened another file with its number");
		atomic_store(&worker->own_fds.noted, true);
	}
	while ((!atomic_load(&worker->own_fds.noted) || others_in_callback(worker)) && pfi_now_ms() < until_ms)
		(void)nanosleep(&pause, NULL);
	_exit(EXIT_LOST);
}

static bool any_is_closed(const struct prefork_worker *worker)
{
	const struct pfi_own_fds *const own = &worker->own_fds;
	struct pollfd fds[OTHER_FDS_MAX];
	size_t i = 0;

	while (i < own->count) {
		const struct pfi_own_fd *const first = &own->list[i];
		nfds_t count = 0;

		while (count < OTHER_FDS_MAX && i < own->count)
			fds[count++] = (struct pollfd){ .fd = own->list[i++].fd };
		(void)poll(fds, count, 0);
		for (nfds_t k = 0; k < count; k++) {
			if (((fds[k].revents & POLLNVAL) && !is_given_up(&first[k])) || is_replaced(&first[k]))
				return true;
		}
	}
	return false;
}

void pfi_own_fds_check_now(struct prefork_worker *worker)
{
	atomic_store_explicit(&worker->own_fds.check_deferred, false, memory_order_relaxed);
	if (any_is_closed(worker))
		pfi_own_fds_lost(worker);
	(void)pfi_standard_fds_fill();
}

void pfi_own_fds_check_once(struct prefork_worker *worker, uint64_t before_ms, uint64_t since_ms)
{
	if (atomic_compare_exchange_strong(&worker->own_fds.checked_ms, &before_ms, since_ms))
		pfi_own_fds_check_now(worker);
}
