/*
 * prefork/tls.h -- TLS below any service and any strategy, with OpenSSL 3. A library of its own: libprefork-tls.
 *
 * A program adds the settings of TLS to its own, and attaches TLS to its arbiter. If the settings of a pool name a
 * certificate (certfile or certificates), all connections of its workers begin with a handshake, and the service is
 * called once that is complete. HTTP then has the scheme https.
 *
 *     prefork_tls_add_options(settings);
 *     prefork_settings_parse(settings, argc, argv);
 *     prefork_arbiter_create(settings, &arbiter);
 *     prefork_tls_attach(arbiter, NULL);
 *
 * Ownership: the arbiter owns what attach returns. Threads: the functions of an arbiter belong to its thread; those of
 * a connection may be called by the thread that may use the connection (<prefork/service.h>). Fork: as in
 * <prefork/transport.h>.
 */
#ifndef PREFORK_TLS_H
#define PREFORK_TLS_H

#include <prefork/export.h>

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_arbiter;
struct prefork_connection;
struct prefork_settings;
struct prefork_tls;
struct ssl_ctx_st;
struct ssl_st;

/** Add the settings of TLS (certfile, keyfile and others). Call it between prefork_settings_create() and
 *  prefork_settings_parse(). Errors as prefork_settings_add_module(). Since 0.1. */
PREFORK_API int prefork_tls_add_options(struct prefork_settings *settings);

/** Serve TLS in all pools whose settings say so, now or after a reload. Before start. `*ret` (may be NULL) is owned by
 *  the arbiter. Returns 0; -EINVAL: `arbiter` is NULL, or its settings lack the rows of prefork_tls_add_options();
 *  -ENOMEM; or an error of prefork_arbiter_add_hooks(). Since 0.1. */
PREFORK_API int prefork_tls_attach(struct prefork_arbiter *arbiter, struct prefork_tls **ret);

/** Serve TLS in the pool `pool` with a context of the application (SSL_CTX) instead of files: its certificates, callbacks
 *  and ticket keys are the application's, and the settings of TLS have no effect on the pool. Takes a reference of its
 *  own to `context`, which must not change after the start. Renegotiation stays off. Before start. Returns 0; -EINVAL:
 *  an argument is NULL; -EEXIST: the pool has a context; -ENOMEM. Since 0.1. */
PREFORK_API int prefork_tls_use_context(struct prefork_tls *tls, const char *pool, struct ssl_ctx_st *context);

/** The SSL of a connection, borrowed, for the functions of OpenSSL that read: SSL_get_peer_certificate(3),
 *  SSL_get_cipher(3). NULL: the connection does not use TLS, or its handshake is not complete. Since 0.1. */
PREFORK_API struct ssl_st *prefork_tls_ssl(const struct prefork_connection *connection);

/** What is known about a connection, as text, with the names of Apache's mod_ssl: HTTPS (on), SSL_PROTOCOL, SSL_CIPHER,
 *  SSL_TLS_SNI (the server name, if the client has sent one), SSL_SESSION_RESUMED (Initial or Resumed), SSL_CLIENT_VERIFY
 *  (NONE: the client has no certificate; SUCCESS); and of the client's certificate: SSL_CLIENT_S_DN and SSL_CLIENT_I_DN
 *  (subject and issuer, RFC 2253), SSL_CLIENT_S_DN_CN, SSL_CLIENT_I_DN_CN, SSL_CLIENT_M_SERIAL, SSL_CLIENT_M_VERSION,
 *  SSL_CLIENT_V_START, SSL_CLIENT_V_END, SSL_CLIENT_CERT (PEM). Owned by the connection. NULL: there is no such variable,
 *  the connection does not use TLS, or memory is exhausted. Since 0.1. */
PREFORK_API const char *prefork_tls_variable(const struct prefork_connection *connection, const char *name);

/** Variable `index` of those that the connection has, and its name in `*ret_name`; NULL after the last. Since 0.1. */
PREFORK_API const char *prefork_tls_variable_at(const struct prefork_connection *connection, size_t index,
                                                const char **ret_name);

#ifdef __cplusplus
}
#endif

#endif
