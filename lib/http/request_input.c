/* The input buffer of a request: it grows, and has texts inserted after the head. */
#include "http/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pfi_request_grow_input(struct prefork_request *request)
{
	const size_t size = request->in_size * 2;
	char *const bytes = malloc(size);

	if (bytes == NULL)
		return -ENOMEM;
	memcpy(bytes, request->in, request->in_end);
	if (request->in != request->in_buffer)
		free(request->in);
	request->in = bytes;
	request->in_size = size;
	return 0;
}

int64_t pfi_request_open_gap(struct prefork_request *request, size_t size)
{
	struct pfi_head *const head = &request->head;
	const size_t at = request->in_from + head->at;

	while (request->in_size - request->in_end < size)
		if (pfi_request_grow_input(request) < 0)
			return -ENOMEM;
	memmove(request->in + at + size, request->in + at, request->in_end - at);
	request->in_at += size;
	request->in_end += size;
	head->at += (uint32_t)size;
	return head->at - (int64_t)size;
}
