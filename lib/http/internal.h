/*
 * internal -- the functions by which the files of this module that need a worker call each other.
 *
 * Calls go down this list only; tests/shape/layers.py checks it:
 *
 *     attach          adds the service to an arbiter
 *     serve           the service: selects the step by the phase of the connection
 *     receive         reads the head, and collects the body
 *     uwsgi_receive   makes a head of a uwsgi packet
 *     exchange        calls the handler, sends its response, then keeps or closes the connection
 *     request_pool    allocates and resets struct prefork_request
 *     response        the public functions by which the handler responds
 *     upload          reads and collects the request body
 *     send            sends pieces of the response
 *     pending_output  the part of a response that the client has not taken yet
 *     suspend         the public functions that suspend and resume a request
 *     spool           memory, and a file without a name
 *
 * Every step returns what the connection waits for next. A step may block if its connection may.
 */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/verdict.h"

#include <prefork/service.h>

#include <stdbool.h>

struct pfi_http;
struct prefork_request;

/* request_pool.c */

/** Returns a request object for a new connection, or NULL if memory ran out. Any thread. */
struct prefork_request *pfi_request_pool_take(struct pfi_http *http);

/** Return the object of a connection that is closed to the pool. Any thread. */
void pfi_request_pool_put(struct prefork_request *request);

/** Reset the object for the next request of its connection. Input that is received already is kept. */
void pfi_request_begin(struct prefork_request *request);

/** Free all objects in the pool. */
void pfi_request_pool_free(struct pfi_http *http);

/* receive.c */

/** The connection may be readable. */
enum prefork_next pfi_receive_head(struct prefork_request *request);
enum prefork_next pfi_receive_body(struct prefork_request *request);

/** body_timeout has passed without input, or the body arrives below body_rate: respond with 408. */
enum prefork_next pfi_receive_body_timed_out(struct prefork_request *request);

/* uwsgi_receive.c */

/** Whether the peer is in uwsgi_allow_ips. If not, logs it, once a second at most. */
bool pfi_uwsgi_is_allowed(struct pfi_http *http, struct prefork_worker *worker, struct prefork_connection *connection);

/** Parse the packet in the input buffer. DONE: request->head is that of the request, and the body follows it; MORE; or
 *  BAD, and request->head has the error. */
enum pfi_verdict pfi_uwsgi_receive(struct prefork_request *request);

/* exchange.c */

/** Whether the setting queue_limit is reached, so that this request gets 503. */
bool pfi_exchange_is_overloaded(const struct prefork_request *request);
extern const struct pfi_http_error pfi_exchange_overload_error;

/** Call the handler, in a thread that may block. */
enum prefork_next pfi_exchange_call_handler(struct prefork_request *request);

/** A suspended request was resumed, and its output is sent; or write_timeout has passed. */
enum prefork_next pfi_exchange_resume(struct prefork_request *request);
enum prefork_next pfi_exchange_resume_timed_out(struct prefork_request *request);

/** A suspended request fails with `error`: if its response is not started, the client gets an error response now,
 *  although the request belongs to another thread. The first thread. False: the other thread is sending, try again. */
bool pfi_exchange_end_suspended(struct prefork_request *request, int error, struct pfi_http_error http_error);

/** Write the access log line of a request that gets no further callback. */
void pfi_exchange_log_abandoned(struct prefork_request *request);

/** The connection is writable; or write_timeout has passed. */
enum prefork_next pfi_exchange_send(struct prefork_request *request);
enum prefork_next pfi_exchange_send_timed_out(struct prefork_request *request);

/** No request has arrived within keepalive, or, in a drain, within the time of on_draining(). */
enum prefork_next pfi_exchange_idle_timed_out(struct prefork_request *request);

/** The response is sent: begin the next request, or close. */
enum prefork_next pfi_exchange_finish(struct prefork_request *request);

/** The request has an error: send an error response, unless the response was begun. */
enum prefork_next pfi_exchange_failed(struct prefork_request *request);

/** Send an error response of the library, and close. */
enum prefork_next pfi_exchange_respond_error(struct prefork_request *request, struct pfi_http_error http_error);

/** Lingering close (RFC 9112 9.6): output has ended; read and discard input until the client closes. */
enum prefork_next pfi_exchange_lingering_close(struct prefork_request *request);

/** Write the access log line and call `finished`, if the handler was called. */
void pfi_request_finish(struct prefork_request *request);

#endif
