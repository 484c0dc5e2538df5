/* Adds TLS to an arbiter: reads files before anything is forked, and gives workers their contexts. */
#include "tls/tls_server.h"

#include "base/required.h"
#include "tls/tls_kernel.h"
#include "tls/tls_log.h"
#include "tls/tls_push.h"
#include "tls/tls_session.h"
#include "tls/tls_turn.h"
#include "tls/tls_variables.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/tls.h>

#include <openssl/ssl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* By this, the kernel loads its module, for which workers may lack the privilege. */
static void check_kernel(const struct prefork_arbiter *arbiter, const struct pfi_tls_settings *values)
{
	if (pfi_tls_is_on(values) && values->ktls && !pfi_tls_kernel_has_tls())
		pfi_tls_arbiter_log(arbiter, PREFORK_LOG_WARNING, "tls_kernel_missing",
				    "The kernel has no TLS (module tls): ktls has no effect, workers encrypt as without it");
}

static int on_check_pool(struct prefork_arbiter *arbiter, const char *pool, const struct prefork_settings *settings, void *user)
{
	struct prefork_tls *const tls = user;
	struct pfi_tls_material *material;
	int r;

	if (pfi_tls_server_own(tls, pool) != NULL)
		return 0;
	check_kernel(arbiter, pfi_tls_settings(settings));
	r = pfi_tls_server_material(tls, pfi_tls_settings(settings), &material);
	if (r == 0 && material != NULL)
		r = pfi_tls_turn_begin(tls);
	if (r == 0 && material != NULL) {
		material->is_wanted = true;
		pfi_tls_turn_follow(tls, material); /* before the files are read, so that no change is missed */
		r = pfi_tls_material_refresh(material, &tls->worker.tickets);
	}
	if (r == 1)
		pfi_tls_turn_push(tls);
	return r < 0 ? r : 0;
}

static int on_reload_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *settings, void *user)
{
	struct prefork_tls *const tls = user;

	(void)arbiter;
	pfi_tls_server_begin_reload(tls, settings);
	if (tls->materials != NULL)
		pfi_tls_turn_rotate(tls);
	return 0;
}

/* Reloads overlap: while the workers of one start, another one may be refused before it has begun here, or wait for a
 * lookup. If the settings that were checked last are in force, they have not failed; if they are not, another reload is
 * done. */
static void on_reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	struct prefork_tls *const tls = user;
	const bool is_done = verdict == PREFORK_RELOAD_DONE;

	(void)why;
	if (verdict != PREFORK_RELOAD_SUPERSEDED && is_done == (prefork_arbiter_settings(arbiter) == tls->checked))
		pfi_tls_server_end_reload(tls, is_done);
}

/* What the child inherits is that of its pool. */
static int on_before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct prefork_tls *const tls = user;
	struct pfi_tls_contexts *contexts = pfi_tls_server_own(tls, prefork_process_pool(process));
	struct pfi_tls_material *material = NULL;
	int r = 0;

	(void)arbiter;
	if (contexts == NULL)
		r = pfi_tls_server_material(tls, pfi_tls_settings(prefork_process_settings(process)), &material);
	if (r == 0 && material != NULL && material->contexts == NULL) /* those of a reload that has failed were dropped */
		r = pfi_tls_material_refresh(material, &tls->worker.tickets);
	if (r < 0)
		return r;
	if (material != NULL)
		contexts = material->contexts;
	tls->forked = material;
	tls->worker.version = material != NULL ? material->version : 0;
	pfi_tls_contexts_unref(tls->worker.contexts);
	tls->worker.contexts = contexts != NULL ? pfi_tls_contexts_ref(contexts) : NULL;
	return 0;
}

static void on_after_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct prefork_tls *const tls = user;

	(void)arbiter;
	if (tls->forked != NULL && pfi_tls_push_add(tls, process, tls->forked) < 0)
		pfi_tls_arbiter_log(arbiter, PREFORK_LOG_ERROR, "tls_push_failed",
				    "Certificates and keys cannot be sent to workers: %s", "no memory");
	tls->forked = NULL;
}

static void on_worker_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	pfi_tls_push_remove(user, process);
	pfi_tls_server_sweep(user);
}

static void on_worker_message(struct prefork_worker *worker, const char *topic, int fd, void *user)
{
	pfi_tls_push_receive(user, worker, topic, fd);
}

/* Keys of other pools have no business in this process. */
static void on_child(struct prefork_worker *worker, void *user)
{
	struct prefork_tls *const tls = user;

	(void)worker;
	pfi_tls_server_forget(tls);
}

static int on_worker_start(struct prefork_worker *worker, void *user)
{
	struct prefork_tls *const tls = user;

	if (tls->worker.contexts == NULL)
		return 0;
	tls->worker.worker = worker;
	tls->worker.uses_kernel = pfi_tls_settings(prefork_worker_settings(worker))->ktls && !tls->worker.contexts->is_application &&
				  pfi_tls_kernel_has_tls();
	return prefork_worker_set_transport(worker, &pfi_tls_transport, &tls->worker);
}

static void on_destroyed(void *user)
{
	pfi_tls_turn_end(user);
	pfi_tls_server_destroy(user);
}

int prefork_tls_attach(struct prefork_arbiter *arbiter, struct prefork_tls **ret)
{
	static const struct prefork_hooks hooks = {
		.struct_size = sizeof hooks,
		.before_fork = on_before_fork,
		.after_fork = on_after_fork,
		.worker_exited = on_worker_exited,
		.reload_begin = on_reload_begin,
		.reload_end = on_reload_end,
		.child_after_fork = on_child,
		.worker_start = on_worker_start,
		.destroyed = on_destroyed,
		.check_pool = on_check_pool,
		.worker_message = on_worker_message,
	};
	struct prefork_tls *tls = NULL;
	int r;

	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (pfi_tls_settings(prefork_arbiter_settings(arbiter)) == NULL)
		return prefork_fail(-EINVAL, "the settings have no rows of prefork_tls_add_options()");
	r = pfi_tls_server_create(arbiter, &tls);
	if (r == 0)
		r = prefork_arbiter_add_hooks(arbiter, &hooks, tls);
	if (r < 0) {
		pfi_tls_server_destroy(tls);
		return r;
	}
	if (ret != NULL)
		*ret = tls;
	return 0;
}

int prefork_tls_use_context(struct prefork_tls *tls, const char *pool, struct ssl_ctx_st *context)
{
	PFI_RETURN_IF_NULL(tls, -EINVAL);
	PFI_RETURN_IF_NULL(pool, -EINVAL);
	PFI_RETURN_IF_NULL(context, -EINVAL);
	return pfi_tls_server_add_own(tls, pool, context);
}

static struct pfi_tls_session *established_session(const struct prefork_connection *connection)
{
	struct pfi_tls_session *const session = prefork_transport_data(connection, &pfi_tls_transport);

	return session != NULL && session->is_established ? session : NULL;
}

struct ssl_st *prefork_tls_ssl(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, NULL);

	const struct pfi_tls_session *const session = established_session(connection);

	return session != NULL ? session->ssl : NULL;
}

/* They are made once per connection: a kept one has many requests. */
const char *prefork_tls_variable_at(const struct prefork_connection *connection, size_t index, const char **ret_name)
{
	PFI_RETURN_IF_NULL(connection, NULL);
	PFI_RETURN_IF_NULL(ret_name, NULL);

	struct pfi_tls_session *const session = established_session(connection);

	if (session == NULL)
		return NULL;
	(void)pthread_mutex_lock(&session->lock);
	if (session->variables == NULL)
		session->variables = pfi_tls_variables_create(session->ssl);
	(void)pthread_mutex_unlock(&session->lock);
	if (session->variables == NULL || index >= session->variables->count)
		return NULL;
	*ret_name = session->variables->list[index].name;
	return session->variables->list[index].text;
}

const char *prefork_tls_variable(const struct prefork_connection *connection, const char *name)
{
	const char *found, *text;

	PFI_RETURN_IF_NULL(connection, NULL);
	PFI_RETURN_IF_NULL(name, NULL);
	for (size_t i = 0; (text = prefork_tls_variable_at(connection, i, &found)) != NULL; i++) {
		if (strcmp(found, name) == 0)
			return text;
	}
	return NULL;
}
