/*
 * tls_push -- in the arbiter: which workers have which certificates and ticket keys, and how they get newer ones.
 *
 * A worker inherits what is in force when it is forked. What changes later goes to it as a sealed memfd over its control
 * channel (prefork_process_send()), with the topic "tls N": N is the version of the certificates, so that a worker makes
 * new contexts only if these have changed. A worker that does not read its messages gets them later, once.
 */
#ifndef TLS_TLS_PUSH_H
#define TLS_TLS_PUSH_H

#include <stdbool.h>
#include <stdint.h>

struct pfi_tls_material;
struct prefork_process;
struct prefork_tls;
struct prefork_worker;

struct pfi_tls_process {
	struct prefork_process *process; /* borrowed until it has exited */
	struct pfi_tls_material *material;
	uint64_t version; /* of the material that it has */
	uint64_t keys;    /* version of the ticket keys that it has */
};

/* A worker was forked with `material`; it has exited. 0 or -ENOMEM. */
int pfi_tls_push_add(struct prefork_tls *tls, struct prefork_process *process, struct pfi_tls_material *material);
void pfi_tls_push_remove(struct prefork_tls *tls, const struct prefork_process *process);

/* Whether any worker has this material. */
bool pfi_tls_push_uses(const struct prefork_tls *tls, const struct pfi_tls_material *material);

/* Send what is newer than what a worker has. False: some did not take it, so that it has to be called again. */
bool pfi_tls_push(struct prefork_tls *tls);

/* In the worker: a message has arrived. */
void pfi_tls_push_receive(struct prefork_tls *tls, struct prefork_worker *worker, const char *topic, int fd);

#endif
