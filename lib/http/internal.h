/*
 * walk -- what the files of this room that meet the worker call of each other.
 *
 *     serve     the callbacks: which step is next, by the phase of the connection
 *     receive   a head, and its body, so that no thread has to wait for it
 *     answer    the host is called, its answer goes out, the connection goes on
 *     objects   struct prefork_request, before and after all that
 *
 * Every step answers what the connection waits for next. A step may block where its
 * connection may.
 */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/verdict.h"

#include <prefork/service.h>

#include <stdbool.h>

struct pfi_http;
struct prefork_request;

/* objects.c */

/** An object for a new connection, or NULL when memory ran out. Any thread. */
struct prefork_request *pfi_request_pool_take(struct pfi_http *http);
void pfi_request_pool_put(struct prefork_request *request);

/** What is there of the next request begins where the last one ended. */
void pfi_request_begin(struct prefork_request *request);
void pfi_request_pool_free(struct pfi_http *http);

/* receive.c */

/** Something has come, or may have. */
enum prefork_next pfi_receive_head(struct prefork_request *request);
enum prefork_next pfi_receive_body(struct prefork_request *request);

/** Nothing has come for too long, or too little. */
enum prefork_next pfi_receive_body_timed_out(struct prefork_request *request);

/* answer.c */

/** Whether so many requests wait that one more had better be refused. */
bool pfi_exchange_is_overloaded(const struct prefork_request *request);
extern const struct pfi_http_error pfi_exchange_overload_error;

/** Call the host: the request is as complete as it must be. */
enum prefork_next pfi_exchange_call_handler(struct prefork_request *request);

/** The client has taken something, or has taken nothing for too long. */
enum prefork_next pfi_exchange_send(struct prefork_request *request);
enum prefork_next pfi_exchange_send_timed_out(struct prefork_request *request);

/** All was handed over: the next request, or the end. */
enum prefork_next pfi_exchange_finish(struct prefork_request *request);

/** The request has an error: tell the client, as long as nothing was told yet. */
enum prefork_next pfi_exchange_failed(struct prefork_request *request);

/** An answer of our own, and the end. */
enum prefork_next pfi_exchange_respond_error(struct prefork_request *request, struct pfi_http_error http_error);

/** Our side has ended: listen to the client's for a while, and throw it away. */
enum prefork_next pfi_exchange_lingering_close(struct prefork_request *request);

/** The host's last call for this request, if there was a first. */
void pfi_request_finish(struct prefork_request *request);

#endif
