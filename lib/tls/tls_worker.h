/*
 * tls_worker -- TLS in one worker: the contexts for new connections, and the transport of its connections.
 */
#ifndef TLS_TLS_WORKER_H
#define TLS_TLS_WORKER_H

#include "base/log_limit.h"
#include "tls/tls_contexts.h"
#include "tls/tls_tickets.h"

#include <prefork/transport.h>

#include <pthread.h>
#include <stdint.h>

struct prefork_worker;

struct pfi_tls_worker {
	struct prefork_worker *worker;
	BIO_METHOD *method;
	pthread_mutex_t lock; /* guards `contexts` */
	struct pfi_tls_contexts *contexts;
	bool uses_kernel; /* setting ktls, and the kernel has TLS */
	uint64_t version; /* of the files that they were made of; first thread */
	struct pfi_tls_tickets tickets;
	struct pfi_log_limit failures;
};

/* A reference to the contexts in force. Any thread. */
struct pfi_tls_contexts *pfi_tls_worker_contexts(struct pfi_tls_worker *tls);

/* Put other contexts in force, for new connections. Takes `contexts`. */
void pfi_tls_worker_replace(struct pfi_tls_worker *tls, struct pfi_tls_contexts *contexts);

/* The table for prefork_worker_set_transport(), whose pointer is a struct pfi_tls_worker. */
extern const struct prefork_transport pfi_tls_transport;

#endif
