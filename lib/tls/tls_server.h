/*
 * tls_server -- TLS of one arbiter: its files, contexts and ticket keys. A forked worker has a copy, of which it uses
 * `worker` alone.
 */
#ifndef TLS_TLS_SERVER_H
#define TLS_TLS_SERVER_H

#include "tls/tls_material.h"
#include "tls/tls_push.h"
#include "tls/tls_worker.h"

struct prefork_arbiter;
struct prefork_settings;

/* A context of the application, for one pool. */
struct pfi_tls_own {
	char *pool;
	struct pfi_tls_contexts *contexts;
};

struct prefork_tls {
	struct prefork_arbiter *arbiter;
	struct pfi_tls_worker worker; /* of the worker that is forked next, or of this process */
	struct pfi_tls_ticket_keys keys;
	uint64_t keys_version;
	uint64_t rotate_at_ms;
	int timer, inotify;      /* of the arbiter (prefork_arbiter_watch()); -1: not opened */
	uint64_t reread_at_ms;   /* files may have changed; 0: not                           */
	uint64_t push_at_ms;     /* workers did not take a message; 0: all have              */
	unsigned push_repeats;   /* since the last change; each one waits longer             */
	bool push_is_refused;    /* there was no memfd for the last one, which is logged     */
	unsigned failures;       /* of reading changed files, in a row                       */
	struct pfi_tls_material *forked; /* of the worker that is forked next, or NULL       */
	struct pfi_tls_process *processes;
	size_t process_count, process_capacity;
	struct pfi_tls_material *materials;
	bool is_reloading;       /* since pfi_tls_server_begin_reload()                      */
	const struct prefork_settings *checked; /* by the reload that has begun last; to compare only */
	struct pfi_tls_own *own;
	size_t own_count;
};

/* *New*. 0; -ENOMEM, or the error of the random numbers, with an error message. */
int pfi_tls_server_create(struct prefork_arbiter *arbiter, struct prefork_tls **ret);
void pfi_tls_server_destroy(struct prefork_tls *tls);

/* The material for these settings, without a look at the files; NULL: they do not ask for TLS. 0 or -ENOMEM. */
int pfi_tls_server_material(struct prefork_tls *tls, const struct pfi_tls_settings *values, struct pfi_tls_material **ret);

/* Add a context of the application; find that of a pool, NULL: none. */
int pfi_tls_server_add_own(struct prefork_tls *tls, const char *pool, SSL_CTX *context);
struct pfi_tls_contexts *pfi_tls_server_own(const struct prefork_tls *tls, const char *pool);

/* A reload is going to check `settings`, and marks the materials that these want. Those of the settings in force stay
 * until it ends, and so do those of a reload in progress: if it is superseded after its first worker is proved, a failure
 * of this one returns to it. */
void pfi_tls_server_begin_reload(struct prefork_tls *tls, const struct prefork_settings *settings);

/* The reload has ended, perhaps before it has begun here: the settings that it has checked are in force, or those before
 * are again. */
void pfi_tls_server_end_reload(struct prefork_tls *tls, bool is_done);

/* Drop materials that are not in use by settings or workers. */
void pfi_tls_server_sweep(struct prefork_tls *tls);

/* In a worker: clear everything but `worker`. */
void pfi_tls_server_forget(struct prefork_tls *tls);

#endif
