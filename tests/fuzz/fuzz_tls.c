/*
 * Input: a conversation of a client of OpenSSL with the transport of TLS, over a socket pair; and what happens to the
 * client's bytes on the way: they arrive in pieces, are changed, or others are put between them.
 *
 *     first byte      1: TLS 1.2; 2: ALPN is offered
 *     then, for each step, a byte and its argument:
 *     0 N   the client writes up to 1024 bytes         1 N   so many of its encrypted bytes arrive
 *     2 N   one of these is changed                    3 N   N bytes of the input are put before them
 *     4 N   the server continues, and receives         5 N   the server sends, and the client reads
 *     6 .   the client closes, with close_notify       7 .   the server shuts down its output
 *
 * Whatever happens: each side receives a beginning of what the other one has sent, and nothing else.
 */
#include "tls/tls_worker.h"

#include "fuzz.h"
#include "tls_ends.h"

#include <openssl/err.h>

#include <sys/socket.h>

enum { STEPS_MAX = 300, UNIT = TLS_ENDS_UNIT };

struct conversation {
	struct tls_ends ends;
	bool changed;
};

static void client_writes(struct tls_ends *it, uint8_t argument)
{
	char bytes[UNIT * 256];
	const size_t size = UNIT * (size_t)argument + 1;

	if (!SSL_is_init_finished(it->client) || it->written > TLS_ENDS_STREAM_MAX)
		return;
	tls_ends_fill(bytes, size, it->written);
	if (SSL_write(it->client, bytes, (int)size) == (int)size)
		it->written += size;
	ERR_clear_error();
}

static void arrive(struct conversation *it, size_t size, size_t change)
{
	char bytes[4096];
	const int n = BIO_read(SSL_get_wbio(it->ends.client), bytes, (int)(size < sizeof bytes ? size : sizeof bytes));

	if (n <= 0)
		return;
	if (change < (size_t)n) {
		bytes[change] ^= 0x20;
		it->changed = true;
	}
	(void)!send(it->ends.far_end, bytes, (size_t)n, MSG_NOSIGNAL);
}

static void server_continues(struct conversation *it, uint8_t argument)
{
	const bool was_established = it->ends.established;

	tls_ends_receive(&it->ends, UNIT * (size_t)argument + 1);
	demand(was_established || it->changed || !it->ends.over);
}

static size_t step(struct conversation *it, const uint8_t *data, size_t size)
{
	const uint8_t argument = data[1];
	size_t more = 0;

	switch (data[0] % 8) {
	case 0:
		client_writes(&it->ends, argument);
		break;
	case 1:
		arrive(it, UNIT * (size_t)argument + 1, SIZE_MAX);
		break;
	case 2:
		arrive(it, (size_t)argument + 1, argument / 2);
		break;
	case 3:
		more = argument < size - 2 ? argument : size - 2;
		it->changed = it->changed || more > 0;
		(void)!send(it->ends.far_end, data + 2, more, MSG_NOSIGNAL);
		break;
	case 4:
		server_continues(it, argument);
		break;
	case 5:
		tls_ends_send(&it->ends, 256 * (size_t)argument);
		break;
	case 6:
		it->changed = it->changed || !it->ends.established; /* it ends the handshake */
		(void)SSL_shutdown(it->ends.client);
		ERR_clear_error();
		break;
	default:
		if (it->ends.established && !it->ends.over)
			(void)pfi_tls_transport.end_output(&it->ends.connection);
		it->ends.over = true;
		it->changed = true;
	}
	return 2 + more;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_prepared;
	struct conversation it = { .changed = false };

	if (!is_prepared)
		tls_ends_prepare(NULL);
	is_prepared = true;
	if (size < 1)
		return 0;
	tls_ends_open(&it.ends, data[0] & 1 ? TLS1_2_VERSION : 0, (data[0] & 2) != 0);
	data++, size--;
	for (int i = 0; i < STEPS_MAX && size >= 2; i++) {
		const size_t used = step(&it, data, size);

		data += used;
		size -= used;
	}
	tls_ends_close(&it.ends);
	return 0;
}
