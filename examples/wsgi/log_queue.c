/* The ring between the threads that log and the one that calls Python. */
#include "log_queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A cell is free for the producer whose ticket is `turn`, and full for the consumer if `turn` is the ticket and one. */
struct cell {
	atomic_size_t turn;
	struct wsgi_log_line *_Atomic line;
};

static struct cell cells[WSGI_LOG_QUEUE_LINES];
static atomic_size_t next_in, next_out; /* tickets; `next_out` is stored by the consumer only */
static atomic_size_t bytes;             /* of the lines in the queue */
static atomic_int owner;                /* a pid */

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static const char *copy_text(char **at, const char *text)
{
	const size_t size = text_size(text);
	char *const copy = *at;

	if (text == NULL)
		return NULL;
	memcpy(copy, text, size);
	*at += size;
	return copy;
}

static size_t size_of(const char *module, const char *message, const struct prefork_log_pair *pairs, size_t count)
{
	size_t size = sizeof(struct wsgi_log_line) + count * sizeof *pairs + text_size(module) + text_size(message);

	for (size_t i = 0; i < count; i++)
		size += text_size(pairs[i].key) + (pairs[i].is_number ? 0 : text_size(pairs[i].text));
	return size;
}

static struct wsgi_log_line *copy_line(size_t size, enum prefork_log_level level, const char *module, const char *message,
                                       const struct prefork_log_pair *pairs, size_t count)
{
	struct wsgi_log_line *line = malloc(size);
	char *at;

	if (line == NULL)
		return NULL;
	at = (char *)&line->pairs[count];
	line->level = level;
	line->time_us = now_us();
	line->size = size;
	line->module = copy_text(&at, module);
	line->message = copy_text(&at, message);
	line->count = count;
	for (size_t i = 0; i < count; i++) {
		line->pairs[i] = pairs[i];
		line->pairs[i].key = copy_text(&at, pairs[i].key);
		line->pairs[i].text = pairs[i].is_number ? NULL : copy_text(&at, pairs[i].text);
	}
	return line;
}

/* The cell of the next ticket; NULL: the ring is full. */
static struct cell *claim(size_t *ret_ticket)
{
	size_t ticket = atomic_load_explicit(&next_in, memory_order_relaxed);

	for (;;) {
		struct cell *const cell = &cells[ticket % WSGI_LOG_QUEUE_LINES];
		const size_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);

		if (turn == ticket) {
			if (atomic_compare_exchange_weak(&next_in, &ticket, ticket + 1)) {
				*ret_ticket = ticket;
				return cell;
			}
		} else if ((ptrdiff_t)(turn - ticket) < 0) {
			return NULL;
		} else {
			ticket = atomic_load_explicit(&next_in, memory_order_relaxed);
		}
	}
}

int wsgi_log_queue_put(enum prefork_log_level level, const char *module, const char *message,
                       const struct prefork_log_pair *pairs, size_t count)
{
	const size_t size = size_of(module, message, pairs, count);
	struct wsgi_log_line *line;
	struct cell *cell;
	size_t ticket;

	if (atomic_load_explicit(&owner, memory_order_relaxed) != getpid())
		return -ESRCH;
	if (atomic_fetch_add(&bytes, size) + size > WSGI_LOG_QUEUE_BYTES) {
		atomic_fetch_sub(&bytes, size);
		return -ENOBUFS;
	}
	line = copy_line(size, level, module, message, pairs, count);
	cell = line ? claim(&ticket) : NULL;
	if (cell == NULL) {
		atomic_fetch_sub(&bytes, size);
		free(line);
		return line ? -ENOBUFS : -ENOMEM;
	}
	atomic_store_explicit(&cell->line, line, memory_order_relaxed);
	atomic_store_explicit(&cell->turn, ticket + 1, memory_order_release);
	return 0;
}

struct wsgi_log_line *wsgi_log_queue_take(void)
{
	const size_t ticket = atomic_load_explicit(&next_out, memory_order_relaxed);
	struct cell *const cell = &cells[ticket % WSGI_LOG_QUEUE_LINES];
	struct wsgi_log_line *line;

	if (atomic_load_explicit(&cell->turn, memory_order_acquire) != ticket + 1)
		return NULL;
	line = atomic_exchange_explicit(&cell->line, NULL, memory_order_relaxed);
	atomic_store_explicit(&next_out, ticket + 1, memory_order_relaxed);
	atomic_store_explicit(&cell->turn, ticket + WSGI_LOG_QUEUE_LINES, memory_order_release);
	atomic_fetch_sub(&bytes, line->size);
	return line;
}

size_t wsgi_log_queue_length(void)
{
	const size_t out = atomic_load_explicit(&next_out, memory_order_relaxed);

	return atomic_load_explicit(&next_in, memory_order_relaxed) - out;
}

/* Lines of the parent are not freed: another thread may have been between claim() and its store at the fork, and what is
 * in its cell then is unknown. At most WSGI_LOG_QUEUE_BYTES, normally nothing. */
void wsgi_log_queue_reset(void)
{
	for (size_t i = 0; i < WSGI_LOG_QUEUE_LINES; i++) {
		if (atomic_load(&owner) == getpid())
			free(atomic_load(&cells[i].line));
		atomic_store(&cells[i].line, NULL);
		atomic_store(&cells[i].turn, i);
	}
	atomic_store(&next_in, 0);
	atomic_store(&next_out, 0);
	atomic_store(&bytes, 0);
	atomic_store(&owner, getpid());
}

void wsgi_log_queue_dump(int fd)
{
	const size_t from = atomic_load(&next_out);

	for (size_t ticket = from; ticket - from < WSGI_LOG_QUEUE_LINES; ticket++) {
		struct cell *const cell = &cells[ticket % WSGI_LOG_QUEUE_LINES];
		struct wsgi_log_line *const line = atomic_load(&cell->line);

		if (atomic_load(&cell->turn) != ticket + 1 || line == NULL)
			return;
		(void)!write(fd, line->message, strlen(line->message));
		(void)!write(fd, "\n", 1);
	}
}
