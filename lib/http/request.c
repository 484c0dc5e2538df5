/* The public functions that read a request. Texts end with a NUL: receive.c writes one after each, over a delimiter
 * that is parsed already. */
#include "http/request.h"

#include "base/required.h"
#include "http/http_log.h"

#include <prefork/error.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <string.h>
#include <strings.h>

static const char *text(const struct prefork_request *request, struct pfi_span span, size_t *ret_size)
{
	if (ret_size != NULL)
		*ret_size = span.length;
	return request->in + request->in_from + span.at;
}

const char *prefork_request_method(const struct prefork_request *request, size_t *ret_size)
{
	PFI_RETURN_IF_NULL(request, NULL);
	return text(request, request->head.method, ret_size);
}

const char *prefork_request_target(const struct prefork_request *request, size_t *ret_size)
{
	PFI_RETURN_IF_NULL(request, NULL);
	return text(request, request->head.target, ret_size);
}

const char *prefork_request_path(const struct prefork_request *request, size_t *ret_size)
{
	PFI_RETURN_IF_NULL(request, NULL);
	if (request->head.path.length > 0)
		return text(request, request->head.path, ret_size);
	if (ret_size != NULL)
		*ret_size = 1;
	return "/";
}

const char *prefork_request_query(const struct prefork_request *request, size_t *ret_size)
{
	PFI_RETURN_IF_NULL(request, NULL);
	return request->head.has_query ? text(request, request->head.query, ret_size) : NULL;
}

unsigned prefork_request_minor_version(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, 0);
	return request->head.minor;
}

size_t prefork_request_header_count(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, 0);
	return request->head.fields_count;
}

const char *prefork_request_header_at(const struct prefork_request *request, size_t index, const char **ret_name,
                                      size_t *ret_name_size, size_t *ret_value_size)
{
	PFI_RETURN_IF_NULL(request, NULL);
	PFI_RETURN_IF_NULL(ret_name, NULL);
	if (index >= request->head.fields_count)
		return NULL;
	*ret_name = text(request, request->fields[index].name, ret_name_size);
	return text(request, request->fields[index].value, ret_value_size);
}

const char *prefork_request_header(const struct prefork_request *request, const char *name, size_t *ret_size)
{
	PFI_RETURN_IF_NULL(request, NULL);
	PFI_RETURN_IF_NULL(name, NULL);

	const size_t length = strlen(name);
	const enum pfi_field_id id = pfi_field_find(name, length);

	if (id != PFI_FIELD_OTHER) {
		const struct pfi_field *const field = pfi_head_field(&request->head, id);
		return field != NULL ? text(request, field->value, ret_size) : NULL;
	}
	for (uint32_t i = 0; i < request->head.fields_count; i++) {
		const struct pfi_field *const field = &request->fields[i];
		if (field->name.length == length &&
		    strncasecmp(text(request, field->name, NULL), name, length) == 0)
			return text(request, field->value, ret_size);
	}
	return NULL;
}

size_t prefork_request_trailer_count(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, 0);
	return request->body.done ? request->trailers.count : 0;
}

const char *prefork_request_trailer_at(const struct prefork_request *request, size_t index, const char **ret_name,
                                       size_t *ret_name_size, size_t *ret_value_size)
{
	PFI_RETURN_IF_NULL(request, NULL);
	PFI_RETURN_IF_NULL(ret_name, NULL);

	const char *const value = request->body.done ? pfi_trailers_at(&request->trailers, index, ret_name) : NULL;

	if (value == NULL)
		return NULL;
	if (ret_name_size != NULL)
		*ret_name_size = strlen(*ret_name);
	if (ret_value_size != NULL)
		*ret_value_size = strlen(value);
	return value;
}

const char *prefork_request_trailer(const struct prefork_request *request, const char *name, size_t *ret_size)
{
	PFI_RETURN_IF_NULL(request, NULL);
	PFI_RETURN_IF_NULL(name, NULL);

	const char *found, *value;

	for (size_t i = 0; (value = prefork_request_trailer_at(request, i, &found, NULL, ret_size)) != NULL; i++) {
		if (strcasecmp(found, name) == 0)
			return value;
	}
	return NULL;
}

const char *prefork_request_scheme(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, NULL);
	return request->is_secure ? "https" : "http";
}

const char *prefork_request_peer(struct prefork_request *request, unsigned *ret_port)
{
	PFI_RETURN_IF_NULL(request, NULL);

	const struct pfi_uwsgi_client *const client = pfi_request_client(request);

	if (client == NULL || !client->is_known)
		return prefork_connection_peer(request->connection, ret_port);
	if (ret_port != NULL)
		*ret_port = client->port;
	return client->address;
}

size_t prefork_request_listener(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, SIZE_MAX);
	return prefork_connection_listener(request->connection);
}

struct prefork_connection *prefork_request_connection(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, NULL);
	return request->connection;
}

struct prefork_worker *prefork_request_worker(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, NULL);
	return request->worker;
}

void prefork_request_set_user(struct prefork_request *request, void *user)
{
	PFI_RETURN_IF_NULL(request, );
	request->user = user;
}

void *prefork_request_user(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, NULL);
	return request->user;
}

void *prefork_request_service_user(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, NULL);
	return request->http->user;
}

int64_t prefork_request_content_length(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	return request->framing.body == PFI_BODY_CHUNKED ? -1 : (int64_t)request->framing.length;
}

int prefork_request_error(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	return request->error;
}

enum { LOCK_FIRST_MS = 1, LOCK_LAST_MS = 16 };

/* Two tasks rarely use one request at the same time, so no list of the tasks that wait is kept. */
static int lock_in_task(struct prefork_request *request, pthread_mutex_t *mutex)
{
	for (uint64_t step_ms = LOCK_FIRST_MS; pthread_mutex_trylock(mutex) != 0;) {
		const int r = prefork_connection_wait(request->connection, PREFORK_AGAIN, step_ms);

		if (r < 0)
			return r;
		step_ms = step_ms < LOCK_LAST_MS ? step_ms * 2 : LOCK_LAST_MS;
	}
	return 0;
}

int pfi_request_lock(struct prefork_request *request, pthread_mutex_t *mutex)
{
	if (prefork_connection_is_task(request->connection))
		return lock_in_task(request, mutex);
	(void)pthread_mutex_lock(mutex);
	return 0;
}

int pfi_request_fail(struct prefork_request *request, int error)
{
	int none = 0;

	(void)atomic_compare_exchange_strong(&request->error, &none, error);
	return request->error;
}

int pfi_request_handler_failed(struct prefork_request *request, int error)
{
	const struct pfi_head *const head = &request->head;
	const char *const bytes = request->in + request->in_from;
	const char *const message = prefork_error();

	if (request->error == 0 && error != PREFORK_EAPP)
		pfi_http_log(request->worker, PREFORK_LOG_ERROR, "request_failed", NULL,
		             "Error handling request %.*s %.*s: %s", (int)head->method.length,
		             bytes + head->method.at, (int)head->target.length, bytes + head->target.at,
		             *message != '\0' ? message : strerror(-error));
	return pfi_request_fail(request, error);
}

void pfi_request_log_spool_error(struct prefork_request *request)
{
	if (!atomic_flag_test_and_set(&request->http->has_logged))
		pfi_http_log(request->worker, PREFORK_LOG_WARNING, "spool_failed", NULL,
		             "Threads wait for slow clients, since the spool failed: %s", prefork_error());
}

int prefork_response_status(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, 0);
	return request->response.status;
}

int64_t prefork_response_sent(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, 0);
	return (int64_t)pfi_response_sent(request);
}

bool prefork_response_begun(const struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, false);
	return pfi_response_is_begun(request);
}
