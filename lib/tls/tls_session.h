/*
 * tls_session -- one connection that uses TLS: the SSL of OpenSSL, and the encrypted bytes that wait for the socket.
 *
 *     service -- send --> SSL --> `out` --> socket          service <-- receive -- SSL <-- socket
 *
 * OpenSSL writes into `out`, which takes everything: so SSL_write(3) never has to be repeated with the same bytes, and
 * several records go to the socket in one send(2). What the socket does not take stays there, and counts as pending
 * output of the connection (prefork_transport_set_output()).
 *
 * A client of TLS 1.3 may send any number of KeyUpdate messages, and have each of them answered. SSL_read(3) returns only
 * once there is data or the input is used up, so a call reads a few times from the socket, and `out` is bounded.
 *
 * Threads: `lock` guards everything, since one thread may receive while another one sends.
 */
#ifndef TLS_TLS_SESSION_H
#define TLS_TLS_SESSION_H

#include <openssl/ssl.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pfi_tls_contexts;
struct pfi_tls_variables;
struct pfi_tls_worker;
struct prefork_connection;

enum { PFI_TLS_READS_MAX = 4 };

struct pfi_tls_session {
	struct prefork_connection *connection;
	struct pfi_tls_worker *worker;
	struct pfi_tls_contexts *contexts; /* a reference */
	SSL *ssl;
	struct pfi_tls_variables *variables; /* NULL: no function has asked for them */
	pthread_mutex_t lock;
	char *out; /* bytes [out_start, out_end) */
	size_t out_start, out_end, out_capacity;
	unsigned reads_left; /* from the socket, before other connections have a turn      */
	bool is_blocked;     /* the socket did not take all of `out`, or TCP not all of what the kernel has encrypted */
	bool is_established; /* the handshake is complete                                  */
	bool is_failed;      /* by a fatal error: SSL_shutdown(3) is not allowed any more  */
	bool ends_output;    /* shut down the socket's output behind `out`                 */
	bool has_received;   /* any byte                                                   */
	bool is_starved;     /* the last read found no more input in the socket            */
	bool is_at_end;      /* the socket is at end of file                               */
	bool kernel_sends;   /* it encrypts: `out` has messages for tls_kernel.h           */
	uint8_t message_type; /* of the next bytes of OpenSSL for the kernel; 0: data      */
	int error;           /* negative errno of the socket                               */
};

/* A *new* session for a connection; NULL: no memory. */
struct pfi_tls_session *pfi_tls_session_create(struct prefork_connection *connection, struct pfi_tls_worker *worker);
void pfi_tls_session_destroy(struct pfi_tls_session *session);

/* The rest with `lock` held, or before the session is established. */

/* Send `out`. 0: it is empty; -EAGAIN; or a negative errno. */
int pfi_tls_session_flush(struct pfi_tls_session *session);

/* Tell the connection how much of its output is not sent. */
void pfi_tls_session_note_output(struct pfi_tls_session *session);

/* Send close_notify, once. */
void pfi_tls_session_notify_close(struct pfi_tls_session *session);

/* The method of the BIO between OpenSSL and the socket, *new*; NULL: no memory. */
BIO_METHOD *pfi_tls_session_method(void);

#endif
