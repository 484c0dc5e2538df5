/* The contexts of a worker for new connections, which may be replaced while it serves. */
#include "tls/tls_worker.h"

struct pfi_tls_contexts *pfi_tls_worker_contexts(struct pfi_tls_worker *tls)
{
	(void)pthread_mutex_lock(&tls->lock);
	struct pfi_tls_contexts *const contexts = pfi_tls_contexts_ref(tls->contexts);
	(void)pthread_mutex_unlock(&tls->lock);
	return contexts;
}

void pfi_tls_worker_replace(struct pfi_tls_worker *tls, struct pfi_tls_contexts *contexts)
{
	(void)pthread_mutex_lock(&tls->lock);
	struct pfi_tls_contexts *const old = tls->contexts;
	tls->contexts = contexts;
	(void)pthread_mutex_unlock(&tls->lock);
	pfi_tls_contexts_unref(old);
}
