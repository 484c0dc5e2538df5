/* Creates and destroys the state of TLS in an arbiter, and keeps the list of materials. */
#include "tls/tls_server.h"

#include "tls/tls_session.h"

#include <prefork/error.h>

#include <openssl/crypto.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pfi_tls_server_create(struct prefork_arbiter *arbiter, struct prefork_tls **ret)
{
	struct prefork_tls *const tls = calloc(1, sizeof *tls);
	int r;

	if (tls == NULL)
		return prefork_fail(-ENOMEM, "no memory for TLS");
	tls->arbiter = arbiter;
	tls->timer = tls->inotify = -1;
	tls->keys_version = 1;
	(void)pthread_mutex_init(&tls->worker.lock, NULL);
	(void)pthread_mutex_init(&tls->worker.tickets.lock, NULL);
	tls->worker.method = pfi_tls_session_method();
	r = tls->worker.method == NULL ? prefork_fail(-ENOMEM, "no memory for TLS") : pfi_tls_ticket_keys_rotate(&tls->keys);
	if (r < 0) {
		pfi_tls_server_destroy(tls);
		return r;
	}
	pfi_tls_tickets_set(&tls->worker.tickets, &tls->keys);
	*ret = tls;
	return 0;
}

static void free_own(struct prefork_tls *tls)
{
	for (size_t i = 0; i < tls->own_count; i++) {
		pfi_tls_contexts_unref(tls->own[i].contexts);
		free(tls->own[i].pool);
	}
	free(tls->own);
	tls->own = NULL;
	tls->own_count = 0;
}

void pfi_tls_server_forget(struct prefork_tls *tls)
{
	struct pfi_tls_material *material;

	while ((material = tls->materials) != NULL) {
		tls->materials = material->next;
		pfi_tls_material_destroy(material);
	}
	free_own(tls);
	free(tls->processes);
	tls->processes = NULL;
	tls->process_count = tls->process_capacity = 0;
	OPENSSL_cleanse(&tls->keys, sizeof tls->keys);
}

void pfi_tls_server_destroy(struct prefork_tls *tls)
{
	if (tls == NULL)
		return;
	pfi_tls_server_forget(tls);
	pfi_tls_contexts_unref(tls->worker.contexts);
	BIO_meth_free(tls->worker.method);
	(void)pthread_mutex_destroy(&tls->worker.tickets.lock);
	(void)pthread_mutex_destroy(&tls->worker.lock);
	OPENSSL_cleanse(&tls->worker.tickets.keys, sizeof tls->worker.tickets.keys);
	free(tls);
}

int pfi_tls_server_material(struct prefork_tls *tls, const struct pfi_tls_settings *values, struct pfi_tls_material **ret)
{
	struct pfi_tls_material *material;

	*ret = NULL;
	if (!pfi_tls_is_on(values))
		return 0;
	for (material = tls->materials; material != NULL; material = material->next) {
		if (pfi_tls_material_is_of(material, values)) {
			*ret = material;
			return 0;
		}
	}
	material = pfi_tls_material_create(values);
	if (material == NULL)
		return prefork_fail(-ENOMEM, "no memory for TLS contexts");
	material->next = tls->materials;
	tls->materials = material;
	*ret = material;
	return 0;
}

int pfi_tls_server_add_own(struct prefork_tls *tls, const char *pool, SSL_CTX *context)
{
	struct pfi_tls_own *const more = realloc(tls->own, (tls->own_count + 1) * sizeof *more);
	struct pfi_tls_own own = { 0 };

	if (more != NULL)
		tls->own = more;
	if (pfi_tls_server_own(tls, pool) != NULL)
		return prefork_fail(-EEXIST, "the pool %s has a TLS context", pool);
	if (more != NULL)
		own = (struct pfi_tls_own){ strdup(pool), pfi_tls_contexts_wrap(context) };
	if (own.pool == NULL || own.contexts == NULL) {
		pfi_tls_contexts_unref(own.contexts);
		free(own.pool);
		return prefork_fail(-ENOMEM, "no memory for TLS");
	}
	tls->own[tls->own_count++] = own;
	return 0;
}

struct pfi_tls_contexts *pfi_tls_server_own(const struct prefork_tls *tls, const char *pool)
{
	for (size_t i = 0; i < tls->own_count; i++) {
		if (strcmp(tls->own[i].pool, pool) == 0)
			return tls->own[i].contexts;
	}
	return NULL;
}

void pfi_tls_server_begin_reload(struct prefork_tls *tls, const struct prefork_settings *settings)
{
	tls->checked = settings;
	for (struct pfi_tls_material *material = tls->materials; material != NULL; material = material->next) {
		material->was_wanted = material->was_wanted || material->is_wanted;
		material->is_wanted = false;
	}
	tls->is_reloading = true;
}

void pfi_tls_server_end_reload(struct prefork_tls *tls, bool is_done)
{
	if (!tls->is_reloading)
		return;
	for (struct pfi_tls_material *material = tls->materials; material != NULL; material = material->next) {
		if (!is_done)
			material->is_wanted = material->was_wanted;
		material->was_wanted = false;
	}
	tls->is_reloading = false;
	pfi_tls_server_sweep(tls);
}

void pfi_tls_server_sweep(struct prefork_tls *tls)
{
	struct pfi_tls_material **link = &tls->materials;

	while (*link != NULL) {
		struct pfi_tls_material *const material = *link;

		if (material->is_wanted || material->was_wanted || pfi_tls_push_uses(tls, material)) {
			link = &material->next;
			continue;
		}
		*link = material->next;
		pfi_tls_material_destroy(material);
	}
}
