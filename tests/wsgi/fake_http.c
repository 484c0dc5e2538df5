#include "fake_http.h"

#include <prefork/error.h>
#include <prefork/proxy.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *text(const char *bytes, size_t *ret_size)
{
	if (ret_size)
		*ret_size = bytes ? strlen(bytes) : 0;
	return bytes;
}

const char *prefork_request_method(const struct prefork_request *request, size_t *ret_size)
{
	return text(request->method, ret_size);
}

const char *prefork_request_target(const struct prefork_request *request, size_t *ret_size)
{
	return text(request->target, ret_size);
}

const char *prefork_request_path(const struct prefork_request *request, size_t *ret_size)
{
	*ret_size = request->path_size;
	return request->target;
}

const char *prefork_request_query(const struct prefork_request *request, size_t *ret_size)
{
	return text(request->query, ret_size);
}

unsigned prefork_request_minor_version(const struct prefork_request *request)
{
	(void)request;
	return 1;
}

size_t prefork_request_header_count(const struct prefork_request *request)
{
	return request->fields;
}

const char *prefork_request_header_at(const struct prefork_request *request, size_t index, const char **ret_name,
                                      size_t *ret_name_size, size_t *ret_value_size)
{
	*ret_name = text(request->names[index], ret_name_size);
	return text(request->values[index], ret_value_size);
}

const char *prefork_request_header(const struct prefork_request *request, const char *name, size_t *ret_size)
{
	for (size_t i = 0; i < request->fields; i++) {
		if (strcasecmp(request->names[i], name) == 0)
			return text(request->values[i], ret_size);
	}
	return NULL;
}

const char *prefork_request_scheme(const struct prefork_request *request)
{
	return request->scheme ? request->scheme : "http";
}

const char *prefork_request_peer(struct prefork_request *request, unsigned *ret_port)
{
	*ret_port = request->peer ? 0 : 50123;
	return request->peer ? request->peer : "192.0.2.7";
}

size_t prefork_request_listener(const struct prefork_request *request)
{
	(void)request;
	return 0;
}

/* Its content is not used. */
struct prefork_connection *prefork_request_connection(const struct prefork_request *request)
{
	return (struct prefork_connection *)(uintptr_t)request;
}

const char *prefork_connection_proxy_destination(struct prefork_connection *connection, unsigned *ret_port)
{
	const struct prefork_request *const request = (const struct prefork_request *)(uintptr_t)connection;

	*ret_port = request->destination ? 8443 : 0;
	return request->destination;
}

struct prefork_worker *prefork_request_worker(const struct prefork_request *request)
{
	return (struct prefork_worker *)(uintptr_t)request;
}

void prefork_worker_beat(struct prefork_worker *worker)
{
	(void)worker;
}

/* Nothing here is a task. */
bool prefork_connection_is_task(const struct prefork_connection *connection)
{
	(void)connection;
	return false;
}

bool prefork_connection_cancel_waits(struct prefork_connection *connection)
{
	(void)connection;
	return false;
}

int prefork_connection_wait(struct prefork_connection *connection, enum prefork_next event, uint64_t timeout_ms)
{
	(void)connection;
	(void)event;
	(void)timeout_ms;
	return -EINVAL;
}

bool prefork_connection_may_block(const struct prefork_connection *connection)
{
	(void)connection;
	return getenv("FAKE_MAY_BLOCK") != NULL;
}

void prefork_request_set_user(struct prefork_request *request, void *user)
{
	request->user = user;
}

void *prefork_request_user(const struct prefork_request *request)
{
	return request->user;
}

ptrdiff_t prefork_request_read(struct prefork_request *request, void *bytes, size_t size)
{
	size_t n = request->body_size - request->body_at;
	char byte = 'r';

	if (request->entry != 0 && (write(request->reader, &byte, 1) != 1 || read(request->entry, &byte, 1) != 1))
		return -EIO;
	n = n < size ? n : size;
	n = n < 3000 ? n : 3000; /* a body in several reads */
	if (n > 0)
		memcpy(bytes, request->body + request->body_at, n);
	else if (request->body_error)
		return request->error = request->body_error;
	request->body_at += n;
	return (ptrdiff_t)n;
}

int prefork_request_error(const struct prefork_request *request)
{
	return request->error;
}

int prefork_response_start(struct prefork_request *request, int status, const char *reason)
{
	for (; reason && *reason != '\0'; reason++) {
		if ((unsigned char)*reason < ' ')
			return prefork_fail(-EINVAL, "the reason has a control character");
	}
	request->status = status;
	request->length = -1;
	request->head[0] = '\0';
	return 0;
}

int prefork_response_header(struct prefork_request *request, const char *name, size_t name_size, const char *value,
                            size_t value_size)
{
	static const char *const hops[] = { "Connection", "Keep-Alive", "Upgrade", "Transfer-Encoding", "TE", "Trailer" };

	for (size_t i = 0; i < sizeof hops / sizeof *hops; i++) {
		if (strlen(hops[i]) == name_size && strncasecmp(name, hops[i], name_size) == 0)
			return prefork_fail(-EPERM, "%s is the library's", hops[i]);
	}
	if (name_size == 0 || memchr(name, ' ', name_size) || memchr(value, '\n', value_size))
		return prefork_fail(-EINVAL, "no header");
	if (name_size == 14 && strncasecmp(name, "Content-Length", 14) == 0)
		request->length = strtoll(value, NULL, 10);
	strncat(request->head, name, name_size);
	strcat(request->head, ":");
	strncat(request->head, value, value_size);
	strcat(request->head, "\n");
	return 0;
}

int prefork_response_field(struct prefork_request *request, const char *name, const char *value)
{
	return prefork_response_header(request, name, strlen(name), value, strlen(value));
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of `sent`: several threads may write */

static int put_locked(struct prefork_request *request, const void *bytes, size_t size)
{
	if (request->error)
		return request->error;
	request->begun = true;
	if (request->sent_max && request->sent_size + size > request->sent_max)
		return request->error = -ECONNRESET;
	request->sent = realloc(request->sent, request->sent_size + size + 1);
	memcpy(request->sent + request->sent_size, bytes, size);
	request->sent_size += size;
	request->sent[request->sent_size] = '\0';
	return 0;
}

static int put(struct prefork_request *request, const void *bytes, size_t size)
{
	pthread_mutex_lock(&lock);
	const int r = put_locked(request, bytes, size);
	pthread_mutex_unlock(&lock);
	return r;
}

int prefork_response_bytes(struct prefork_request *request, const void *bytes, size_t size)
{
	request->whole = true;
	if (request->length >= 0 && (size_t)request->length != size)
		return prefork_fail(-EINVAL, "Content-Length says otherwise");
	return put(request, bytes, size);
}

int prefork_response_last(struct prefork_request *request, const void *bytes, size_t size)
{
	return prefork_response_bytes(request, bytes, size);
}

int prefork_response_file(struct prefork_request *request, int fd, int64_t offset, int64_t size)
{
	char bytes[4096];
	const ssize_t n = pread(fd, bytes, (size_t)size, offset);

	request->whole = true;
	return n == size ? put(request, bytes, (size_t)n) : -EIO;
}

int prefork_response_pull(struct prefork_request *request,
                          ptrdiff_t (*pull)(struct prefork_request *request, const void **ret_bytes, void *user),
                          void *user)
{
	request->pull = pull;
	request->pull_user = user;
	return 0;
}

int prefork_response_write(struct prefork_request *request, const void *bytes, size_t size)
{
	return put(request, bytes, size);
}

int prefork_response_status(const struct prefork_request *request)
{
	return request->status;
}

int prefork_response_end(struct prefork_request *request)
{
	const size_t used = strlen(request->interim);

	if (request->status < 200) {
		memcpy(request->interim + used, request->head, sizeof request->interim - used - 1);
		request->status = 0;
		return 0;
	}
	request->begun = request->ended = true;
	return 0;
}

int64_t prefork_response_sent(const struct prefork_request *request)
{
	(void)request;
	return 0;
}

bool prefork_response_begun(const struct prefork_request *request)
{
	return request->begun;
}

int prefork_response_reset(struct prefork_request *request)
{
	if (request->begun)
		return -EALREADY;
	request->status = 0;
	request->head[0] = '\0';
	return 0;
}

void fake_drive(struct prefork_request *request)
{
	const void *bytes;
	ptrdiff_t n;

	while (request->pull && !request->error && (n = request->pull(request, &bytes, request->pull_user)) != 0) {
		if (n < 0)
			request->error = (int)n;
		else
			(void)put(request, bytes, (size_t)n);
	}
}
