/* The pool of request objects. An object serves all requests of a connection, and then later connections. */
#include "http/internal.h"

#include "http/request.h"

#include <stdlib.h>
#include <string.h>

static struct prefork_request *create(struct pfi_http *http)
{
	struct prefork_request *const request =
		malloc(sizeof *request + http->config.limits.fields_max * sizeof request->fields[0]);

	if (request == NULL)
		return NULL;
	request->in = request->in_buffer;
	request->in_size = sizeof request->in_buffer;
	request->is_collected = false;
	request->spool = (struct pfi_spool)PFI_SPOOL_EMPTY;
	pfi_pending_output_init(&request->pending, &http->config.store, http->config.response_memory);
	request->pending.copies_file = !http->config.sendfile;
	request->trailers = (struct pfi_trailers){ 0 };
	request->response.out = (struct pfi_out){ request->out_buffer, 0, sizeof request->out_buffer };
	request->http = http;
	(void)pthread_mutex_init(&request->output, NULL); /* cannot fail without attributes */
	(void)pthread_mutex_init(&request->input, NULL);
	return request;
}

/* The first object of the list; NULL: it is empty. */
static struct prefork_request *take_free(struct pfi_http *http)
{
	pthread_mutex_lock(&http->lock);
	struct prefork_request *const request = http->free;
	if (request != NULL)
		http->free = request->next;
	pthread_mutex_unlock(&http->lock);
	return request;
}

/* `spare` first: if clients connect for each request, most connections take no lock. */
struct prefork_request *pfi_request_pool_take(struct pfi_http *http)
{
	struct prefork_request *request = atomic_exchange_explicit(&http->spare, NULL, memory_order_acquire);

	if (request == NULL)
		request = take_free(http);
	return request != NULL ? request : create(http);
}

/* Long heads and bodies are rare, so their memory is not kept for the next request. */
static void release_memory(struct prefork_request *request)
{
	if (request->response.out.bytes != request->out_buffer) {
		free(request->response.out.bytes);
		request->response.out = (struct pfi_out){ request->out_buffer, 0, sizeof request->out_buffer };
	}
	if (request->is_collected)
		pfi_spool_clear(&request->spool, &request->http->config.store);
	pfi_pending_output_clear(&request->pending);
	request->is_collected = false;
	if (request->trailers.bytes != NULL)
		pfi_trailers_clear(&request->trailers);
}

void pfi_request_pool_put(struct prefork_request *request)
{
	struct pfi_http *const http = request->http;
	struct prefork_request *none = NULL;

	release_memory(request);
	if (request->in != request->in_buffer)
		free(request->in);
	request->in = request->in_buffer;
	request->in_size = sizeof request->in_buffer;
	if (atomic_compare_exchange_strong_explicit(&http->spare, &none, request, memory_order_release, memory_order_relaxed))
		return;
	pthread_mutex_lock(&http->lock);
	request->next = http->free;
	http->free = request;
	pthread_mutex_unlock(&http->lock);
}

void pfi_request_begin(struct prefork_request *request)
{
	const size_t rest = request->in_end - request->in_at;

	if (rest > 0 && request->in_at > 0)
		memmove(request->in, request->in + request->in_at, rest);
	if (rest == 0 && request->in != request->in_buffer) {
		free(request->in);
		request->in = request->in_buffer;
		request->in_size = sizeof request->in_buffer;
	}
	request->in_from = request->in_at = 0;
	request->in_end = rest;
	request->is_pipelined = rest > 0;
	request->phase = PFI_PHASE_IDLE;
	atomic_store_explicit(&request->error, 0, memory_order_relaxed);
	request->http_error = (struct pfi_http_error){ 0, NULL };
	request->user = NULL;
	atomic_store_explicit(&request->run, PFI_RUN_NONE, memory_order_relaxed);
	atomic_store_explicit(&request->is_client_gone, false, memory_order_relaxed);
	request->has_head = false;
	request->skipped = 0;
	pfi_pending_output_begin(&request->pending);
	release_memory(request);
	pfi_response_start(request);
	pfi_head_start(&request->head, request->fields, &request->http->config.limits);
}

static void destroy(struct prefork_request *request)
{
	if (request == NULL)
		return;
	(void)pthread_mutex_destroy(&request->output);
	(void)pthread_mutex_destroy(&request->input);
	free(request);
}

void pfi_request_pool_free(struct pfi_http *http)
{
	destroy(atomic_exchange(&http->spare, NULL));
	while (http->free != NULL) {
		struct prefork_request *const request = http->free;

		http->free = request->next;
		destroy(request);
	}
}
