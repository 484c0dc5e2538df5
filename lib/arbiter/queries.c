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

enum { LISTENER = PFI_QUERIES_MAX, MESSAGE_MAX = 1100 };

static const char too_many[] = "too many commands wait already";

void pfi_queries_init(struct pfi_queries *queries)
{
	*queries = (struct pfi_queries){ .listener = -1 };
	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++)
		queries->list[i].fd = -1;
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
		r = pfi_loop_add(arbiter, queries->listener, (struct pfi_tag){ PFI_SOURCE_QUERY, LISTENER, 0 });
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

	for (unsigned topic = PFI_QUERY_RELOAD; topic <= PFI_QUERY_UPGRADE_BEGUN; topic++)
		pfi_queries_answer(arbiter, topic, PFI_QUERY_FAILED, "the server stops");
	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++)
		end(arbiter, &queries->list[i]);
	pfi_loop_remove(arbiter, queries->listener);
	pfi_close(&queries->listener);
}

/* A slot for a new connection. If none is free, one without a request is closed. */
static struct pfi_query *find_slot(struct prefork_arbiter *arbiter)
{
	struct pfi_query *silent = NULL;

	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++) {
		struct pfi_query *const query = &arbiter->queries.list[i];

		if (query->fd < 0)
			return query;
		if (query->topic == PFI_QUERY_NONE)
			silent = query;
	}
	if (silent != NULL) {
		refuse(silent->fd, too_many);
		end(arbiter, silent);
	}
	return silent;
}

static void accept_query(struct prefork_arbiter *arbiter)
{
	int fd = pfi_query_accept(arbiter->queries.listener);
	struct pfi_query *const query = fd >= 0 ? find_slot(arbiter) : NULL;

	if (query == NULL) {
		if (fd >= 0)
			refuse(fd, too_many);
		pfi_close(&fd);
		return;
	}
	const struct pfi_tag tag = { PFI_SOURCE_QUERY, (unsigned)(query - arbiter->queries.list), ++query->incarnation };

	query->fd = fd;
	pfi_fdtable_set_owner(fd, arbiter->id, PFI_FD_NO_SLOT);
	if (pfi_loop_add(arbiter, fd, tag) < 0)
		pfi_close(&query->fd);
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

enum pfi_query_topic pfi_queries_process(struct prefork_arbiter *arbiter, struct pfi_tag tag)
{
	if (tag.worker_index == LISTENER) {
		accept_query(arbiter);
		return PFI_QUERY_NONE;
	}
	if (tag.worker_index > LISTENER)
		return PFI_QUERY_NONE;

	struct pfi_query *const query = &arbiter->queries.list[tag.worker_index];

	return query->fd >= 0 && query->incarnation == tag.incarnation ? read_query(arbiter, query) : PFI_QUERY_NONE;
}

void pfi_queries_upgrade_begun(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < PFI_QUERIES_MAX; i++) {
		if (arbiter->queries.list[i].topic == PFI_QUERY_UPGRADE)
			arbiter->queries.list[i].topic = PFI_QUERY_UPGRADE_BEGUN;
	}
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
