/*
 * tls_kernel -- encryption by the kernel (setting ktls; Linux with CONFIG_TLS, which Debian has as the module tls).
 *
 *     OpenSSL makes the handshake, and passes the key to the kernel
 *     service -- send, sendfile(2) --> socket: the kernel makes the records          service <-- SSL <-- socket
 *                                  SSL -- messages of TLS: tickets, alerts --> `out` --> socket
 *
 * Only what is sent: of TLS 1.3, OpenSSL 3.0 decrypts itself. If the kernel does not take the key (no module, another
 * cipher, a socket that is not TCP), OpenSSL encrypts as without the setting.
 *
 * The kernel may have taken a record, but not have passed it to TCP (it waits for space in the socket buffer), and
 * shutdown(2) or close(2) would drop it. Therefore, until the socket is writable, the connection counts as one with
 * pending output.
 *
 * A client that asks for new keys (KeyUpdate, RFC 8446, section 4.6.3) loses its connection: OpenSSL 3.0 does not
 * change the key of the kernel.
 */
#ifndef TLS_TLS_KERNEL_H
#define TLS_TLS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

struct pfi_tls_session;

/* Calls of BIO_ctrl(3) that OpenSSL lists in bio.h as internal: pass a key to the kernel, that for receiving if
 * `number` is 0 (SET_KTLS_SEND); the next bytes are a message of this type (SET_KTLS_SEND_CTRL_MSG), or data again. */
enum { PFI_TLS_SET_KEY = 72, PFI_TLS_SET_MESSAGE = 74, PFI_TLS_CLEAR_MESSAGE = 75 };

/* Whether the kernel has TLS. If this process is privileged, the kernel loads the module for it. */
bool pfi_tls_kernel_has_tls(void);

/* The rest with `lock` of the session held, or before it is established. */

/* OpenSSL has a key (`key` is its own struct) for all that is sent from now on; `out` is empty. True: the kernel has
 * taken it. */
bool pfi_tls_kernel_start(struct pfi_tls_session *session, void *key);

/* Put a message of OpenSSL into `out`. False: session->error is set. */
bool pfi_tls_kernel_add(struct pfi_tls_session *session, const char *bytes, size_t size);

/* Send the messages in `out`. 0: all are sent, and TCP has all that was sent before; -EAGAIN; or a negative errno. */
int pfi_tls_kernel_flush(struct pfi_tls_session *session);

/* Whether TCP has all that was sent. */
bool pfi_tls_kernel_is_done(const struct pfi_tls_session *session);

#endif
