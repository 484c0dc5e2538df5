/* A client of the script. The server reads what it sends; the output of the server is kept. The script sets how
 * much of either is transferred at once. */
#include "serve.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

void client_open(struct client *client, size_t capacity)
{
	*client = (struct client){ .is_connecting = true, .next = PREFORK_AGAIN, .in = script_grow(NULL, capacity + 1), .in_buffer = capacity, .out_max = SIZE_MAX };
	client->last_response = &client->responses;
}

void client_clear(struct client *client)
{
	while (client->responses) {
		struct response *const response = client->responses;

		client->responses = response->next;
		free(response);
	}
	free(client->in);
	free(client->out);
	*client = (struct client){ .next = PREFORK_CLOSE };
}

void client_send(struct client *client, const void *bytes, size_t size)
{
	if (client->in_end + size > client->in_buffer) {
		client->in_buffer = 2 * (client->in_end + size);
		client->in = script_grow(client->in, client->in_buffer);
	}
	if (!client->has_ended && !client->client_reset && size > 0) {
		memcpy(client->in + client->in_end, bytes, size);
		client->in_end += size;
	}
}

bool client_is_ready(const struct client *client, enum prefork_next event)
{
	if (client->client_reset)
		return true;
	if (event == PREFORK_WAIT_READABLE)
		return client->in_at < client->in_end || client->has_ended;
	return !client->is_limited || client->window > 0;
}

struct client *client_of(struct prefork_connection *connection)
{
	return prefork_connection_driver(connection);
}

static ptrdiff_t receive(struct prefork_connection *connection, void *bytes, size_t size)
{
	struct client *const client = client_of(connection);
	size_t n = client->in_end - client->in_at;

	demand(size > 0); /* the result 0 would mean end of file */
	connection->read_drained = false;
	if (client->client_reset)
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
		client->lines_read += client->in[client->in_at + i] == '\n';
	client->in_at += n;
	return (ptrdiff_t)n;
}

/* The address for the next `size` bytes, and the number of them that the client receives; or a negative errno. */
static ptrdiff_t begin_send(struct client *client, size_t size, char **ret)
{
	size_t n = size;

	demand(!client->output_ended);
	if (client->is_limited && n > client->window)
		n = client->window;
	client->is_blocked = n < size;
	if (client->client_reset)
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
	client->window -= client->is_limited ? size : 0;
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

	demand(!client->output_ended);
	client->output_ended = true;
	return client->client_reset ? -ENOTCONN : 0;
}

const struct prefork_transport serve_transport = {
	.receive = receive,
	.send = send_pieces,
	.send_file = send_file,
	.end_output = end_output,
};
