/* A client of the script's: what it says is read, and what is sent to it kept, as its script
 * has it take the one and the other. */
#include "serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

void client_open(struct client *client, size_t capacity)
{
	*client = (struct client){ .knocks = true, .next = PREFORK_AGAIN, .in = script_grow(NULL, capacity + 1), .in_buffer = capacity, .out_max = SIZE_MAX };
	client->last = &client->answers;
}

void client_clear(struct client *client)
{
	while (client->answers) {
		struct answer *const answer = client->answers;

		client->answers = answer->next;
		free(answer);
	}
	free(client->in);
	free(client->out);
	*client = (struct client){ .next = PREFORK_CLOSE };
}

void client_say(struct client *client, const void *bytes, size_t size)
{
	if (client->in_end + size > client->in_buffer) {
		client->in_buffer = 2 * (client->in_end + size);
		client->in = script_grow(client->in, client->in_buffer);
	}
	if (!client->has_ended && !client->was_reset && size > 0) {
		memcpy(client->in + client->in_end, bytes, size);
		client->in_end += size;
	}
}

bool client_is_ready(const struct client *client, enum prefork_next event)
{
	if (client->was_reset)
		return true;
	if (event == PREFORK_WAIT_READABLE)
		return client->in_at < client->in_end || client->has_ended;
	return !client->is_choosy || client->window > 0;
}

struct client *client_of(struct prefork_connection *connection)
{
	return prefork_connection_driver(connection);
}

static ptrdiff_t receive(struct prefork_connection *connection, void *bytes, size_t size)
{
	struct client *const client = client_of(connection);
	size_t n = client->in_end - client->in_at;

	demand(size > 0); /* its answer would look like the end */
	connection->read_drained = false;
	if (client->was_reset)
		return -ECONNRESET;
	if (n == 0 && client->has_ended)
		return 0;
	if (n > size)
		n = size;
	if (client->segment > 0 && n > client->segment)
		n = client->segment;
	connection->read_drained = n < size;
	if (n == 0)
		return -EAGAIN;
	memcpy(bytes, client->in + client->in_at, n);
	for (size_t i = 0; i < n; i++)
		client->said += client->in[client->in_at + i] == '\n';
	client->in_at += n;
	return (ptrdiff_t)n;
}

/* Where the next of `size` bytes go, and how many of them; a negative errno. */
static ptrdiff_t begin_send(struct client *client, size_t size, char **ret)
{
	size_t n = size;

	demand(!client->was_ended);
	if (client->is_choosy && n > client->window)
		n = client->window;
	client->is_hungry = n < size;
	if (client->was_reset)
		return -EPIPE;
	if (n == 0 && size > 0)
		return -EAGAIN;
	if (client->out_end + n > client->out_buffer) {
		client->out_buffer = 2 * (client->out_end + n);
		client->out = script_grow(client->out, client->out_buffer);
	}
	*ret = client->out + client->out_end;
	return (ptrdiff_t)n;
}

static void end_send(struct client *client, size_t size)
{
	client->out_end += size;
	demand(client->out_end <= client->out_max);
	client->window -= client->is_choosy ? size : 0;
}

static ptrdiff_t send_pieces(struct prefork_connection *connection, const struct iovec *pieces, int count)
{
	struct client *const client = client_of(connection);
	size_t size = 0, done = 0;
	char *to = NULL;

	for (int i = 0; i < count; i++)
		size += pieces[i].iov_len;
	const ptrdiff_t n = begin_send(client, size, &to);
	for (int i = 0; i < count && n > 0; i++) {
		const size_t left = (size_t)n - done;
		const size_t part = pieces[i].iov_len < left ? pieces[i].iov_len : left;

		if (part > 0)
			memcpy(to + done, pieces[i].iov_base, part);
		done += part;
	}
	end_send(client, done);
	return n;
}

static ptrdiff_t send_file(struct prefork_connection *connection, int fd, int64_t *offset, size_t size)
{
	struct client *const client = client_of(connection);
	char *to = NULL;
	ptrdiff_t n = begin_send(client, size, &to);

	if (n <= 0)
		return n;
	n = pread(fd, to, (size_t)n, (off_t)*offset);
	demand(n >= 0);
	*offset += n;
	end_send(client, (size_t)n);
	return n;
}

static int end_output(struct prefork_connection *connection)
{
	struct client *const client = client_of(connection);

	demand(!client->was_ended);
	client->was_ended = true;
	return client->was_reset ? -ENOTCONN : 0;
}

const struct pfi_transport serve_transport = {
	.receive = receive,
	.send = send_pieces,
	.send_file = send_file,
	.end_output = end_output,
};
