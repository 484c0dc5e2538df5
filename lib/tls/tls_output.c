/* Keeps the encrypted bytes that the socket has not taken yet. */
#include "tls/tls_output.h"

#include "tls/tls_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CAPACITY_FIRST = 4096,
	OUT_MAX = 256 * 1024, /* after the handshake; well above what a call of send or send_file adds */
};

/* Space for `size` more bytes. False: no memory. */
static bool reserve(struct pfi_tls_session *session, size_t size)
{
	const size_t used = session->out_end - session->out_start;
	size_t capacity = session->out_capacity > 0 ? session->out_capacity : CAPACITY_FIRST;

	if (session->out_capacity - session->out_end >= size)
		return true;
	while (capacity < used + size)
		capacity *= 2;
	char *const more = malloc(capacity);
	if (more == NULL)
		return false;
	if (used > 0)
		memcpy(more, session->out + session->out_start, used);
	free(session->out);
	session->out = more;
	session->out_start = 0;
	session->out_end = used;
	session->out_capacity = capacity;
	return true;
}

bool pfi_tls_output_append(struct pfi_tls_session *session, const void *bytes, size_t size)
{
	if (session->is_established && session->out_end - session->out_start > OUT_MAX)
		session->error = -ENOBUFS; /* the client has its KeyUpdate messages answered, and reads nothing */
	else if (!reserve(session, size))
		session->error = -ENOMEM;
	if (session->error < 0)
		return false;
	memcpy(session->out + session->out_end, bytes, size);
	session->out_end += size;
	return true;
}
