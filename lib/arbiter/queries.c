/* Accepts the connections of commands (--send-reload, --send-upgrade), and sends each its verdict. */
#include "arbiter/queries.h"

#include "arbiter/arbiter.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/query_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTENER = PFI_QUERIES_MAX, MESSAGE_MAX = 1100, PERIOD_MS = 100 };

static const char too_many[] = "too many commands wait already";

void pfi_queries_init(struct pfi_queries *queries)
{
	*queries = (struct pfi_queries){ .listener = -1 };
	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++)
		queries->list[i].fd = -1;
}

static int poll_listener(struct prefork_arbiter *arbiter)
{
	return pfi_loop_add(arbiter, arbiter->queries.listener, (struct pfi_tag){ PFI_SOURCE_QUERY, LISTENER, 0 });
}

void pfi_queries_open(struct prefork_arbiter *arbiter)
{
	struct pfi_queries *const queries = &arbiter->queries;
	struct stat status;
	int r;

	if (arbiter->pidfile.fd < 0 || fstat(arbiter->pidfile.fd, &status) < 0)
		return;
	r = queries->listener = pfi_query_listen(getpid(), status.st_ino);
	if (r >= 0)
		r = poll_listener(arbiter);
	if (r >= 0) {
		pfi_fdtable_set_owner(queries->listener, arbiter->id, PFI_FD_NO_SLOT);
		return;
	}
	pfi_close(&queries->listener);
	pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "queries_unavailable", PFI_PAIRS(PREFORK_NUMBER("errno", -r)),
			"The server cannot be reached by --send-reload and --send-upgrade: no socket: %s", strerror(-r));
}

/* Send a reason that the command prints. */
static void refuse(int fd, const char *why)
{
	char bytes[MESSAGE_MAX];
	const int length = snprintf(bytes, sizeof bytes, "%c%s", PFI_QUERY_REFUSED, why);

	(void)send(fd, bytes, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void end(struct prefork_arbiter *arbiter, struct pfi_query *query)
{
	pfi_loop_remove(arbiter, query->fd);
	pfi_close(&query->fd);
	query->topic = PFI_QUERY_NONE;
}

void pfi_queries_close(struct prefork_arbiter *arbiter)
{
	struct pfi_queries *const queries = &arbiter->queries;

	for (unsigned topic = PFI_QUERY_RELOAD; topic <= PFI_QUERY_RELOAD_BEGUN; topic++)
		pfi_queries_answer(arbiter, topic, PFI_QUERY_FAILED, "the server stops");
	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++)
		end(arbiter, &queries->list[i]);
	pfi_loop_remove(arbiter, queries->listener);
	pfi_close(&queries->listener);
	queries->muted_until_ms = 0;
}

static bool is_silent(const struct pfi_query *query, uint64_t now_ms)
{
	return query->topic == PFI_QUERY_NONE && now_ms - query->accepted_ms >= PERIOD_MS;
}

/* A free slot, or the oldest connection that has had time for a request and has sent none. */
static struct pfi_query *find_slot(struct pfi_queries *queries, uint64_t now_ms)
{
	struct pfi_query *found = NULL;

	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++) {
		struct pfi_query *const query = &queries->list[i];

		if (query->fd < 0)
			return query;
		if (is_silent(query, now_ms) && (found == NULL || query->accepted_ms < found->accepted_ms))
			found = query;
	}
	return found;
}

/* Takes `fd`. */
static void add(struct prefork_arbiter *arbiter, int fd, uint64_t now_ms)
{
	struct pfi_query *const query = find_slot(&arbiter->queries, now_ms);

	if (query == NULL) {
		refuse(fd, too_many);
		pfi_close(&fd);
		return;
	}
	if (query->fd >= 0) {
		refuse(query->fd, too_many);
		end(arbiter, query);
	}
	const struct pfi_tag tag = { PFI_SOURCE_QUERY, (unsigned)(query - arbiter->queries.list), ++query->incarnation };

	query->fd = fd;
	query->accepted_ms = now_ms;
	pfi_fdtable_set_owner(fd, arbiter->id, PFI_FD_NO_SLOT);
	if (pfi_loop_add(arbiter, fd, tag) < 0)
		pfi_close(&query->fd);
}

static void mute(struct prefork_arbiter *arbiter, uint64_t until_ms)
{
	pfi_loop_remove(arbiter, arbiter->queries.listener);
	arbiter->queries.muted_until_ms = until_ms;
}

static void accept_queries(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_queries *const queries = &arbiter->queries;

	if (now_ms - queries->since_ms >= PERIOD_MS) {
		queries->since_ms = now_ms;
		queries->accepted = 0;
	}
	while (queries->accepted < PFI_QUERIES_MAX) {
		const int fd = pfi_query_accept(queries->listener);

		if (fd == -EAGAIN)
			return;
		if (fd < 0 && fd != -EPERM && fd != -ECONNABORTED && fd != -EINTR) {
			mute(arbiter, now_ms + PERIOD_MS);
			return;
		}
		queries->accepted++;
		if (fd >= 0)
			add(arbiter, fd, now_ms);
	}
	mute(arbiter, queries->since_ms + PERIOD_MS);
}

uint64_t pfi_queries_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_queries *const queries = &arbiter->queries;

	if (queries->muted_until_ms != 0 && queries->muted_until_ms <= now_ms)
		queries->muted_until_ms = poll_listener(arbiter) < 0 ? now_ms + PERIOD_MS : 0;
	return queries->muted_until_ms;
}

static enum pfi_query_topic topic_of(const char *bytes, ssize_t n)
{
	static const char *const words[] = { [PFI_QUERY_RELOAD] = "reload", [PFI_QUERY_UPGRADE] = "upgrade" };

	for (unsigned topic = PFI_QUERY_RELOAD; topic <= PFI_QUERY_UPGRADE; topic++) {
		if (n == (ssize_t)strlen(words[topic]) && memcmp(bytes, words[topic], (size_t)n) == 0)
			return topic;
	}
	return PFI_QUERY_NONE;
}

static enum pfi_query_topic read_query(struct prefork_arbiter *arbiter, struct pfi_query *query)
{
	char bytes[16];
	const ssize_t n = recv(query->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	const bool is_waiting = query->topic != PFI_QUERY_NONE;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return PFI_QUERY_NONE;
	query->topic = is_waiting ? PFI_QUERY_NONE : topic_of(bytes, n);
	if (query->topic == PFI_QUERY_NONE)
		end(arbiter, query); /* end of file, or the request of another version */
	return query->topic;
}

enum pfi_query_topic pfi_queries_process(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	if (tag.worker_index == LISTENER) {
		accept_queries(arbiter, now_ms);
		return PFI_QUERY_NONE;
	}
	if (tag.worker_index > LISTENER)
		return PFI_QUERY_NONE;

	struct pfi_query *const query = &arbiter->queries.list[tag.worker_index];

	return query->fd >= 0 && query->incarnation == tag.incarnation ? read_query(arbiter, query) : PFI_QUERY_NONE;
}

static void begin(struct prefork_arbiter *arbiter, enum pfi_query_topic requested, enum pfi_query_topic begun)
{
	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++) {
		if (arbiter->queries.list[i].topic == requested)
			arbiter->queries.list[i].topic = begun;
	}
}

void pfi_queries_upgrade_begun(struct prefork_arbiter *arbiter)
{
	begin(arbiter, PFI_QUERY_UPGRADE, PFI_QUERY_UPGRADE_BEGUN);
}

void pfi_queries_reload_begun(struct prefork_arbiter *arbiter)
{
	begin(arbiter, PFI_QUERY_RELOAD, PFI_QUERY_RELOAD_BEGUN);
}

void pfi_queries_answer(struct prefork_arbiter *arbiter, enum pfi_query_topic topic, enum pfi_query_code code,
			const char *why)
{
	char bytes[MESSAGE_MAX];
	const int length = snprintf(bytes, sizeof bytes, "%c%s", (char)code, why);
	const size_t size = length < (int)sizeof bytes ? (size_t)length : sizeof bytes - 1;

	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++) {
		struct pfi_query *const query = &arbiter->queries.list[i];

		if (query->topic != topic)
			continue;
		(void)send(query->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		end(arbiter, query);
	}
}
