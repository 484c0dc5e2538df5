/*
 * serve -- the parts of fuzz_serve.
 *
 *     fuzz_serve     plays the script and the event loop of a worker
 *     serve_client   a client: the transport in place of a socket
 *     serve_handler  the application, which does what the path of a request says
 *     serve_reader   parses the output and compares it with what the handler has sent
 *     serve_system   the clock, memory and the disk
 */
#ifndef FUZZ_SERVE_H
#define FUZZ_SERVE_H

#include "worker/connection.h"

#include <prefork/service.h>
#include <prefork/strategy.h>

#include "fuzz.h"

struct prefork_http_service;

/* The response of the handler to one request. */
struct response {
	struct response *next;
	bool is_head;
	bool has_ended;    /* the handler has sent all of it               */
	bool has_finished; /* `finished` was called                        */
	unsigned minor;
	unsigned number;   /* on its connection, from 0; in the field N    */
	int status;        /* as started last; 0: none                     */
	int error;         /* prefork_request_error() at its end           */
	size_t accepted;   /* bytes of body that the library has accepted  */
	size_t accepted_max; /* and those of calls that failed             */
	size_t out_at_end; /* output of the connection at its end          */
	size_t piece, pieces; /* size and number, for the pull callback    */
	bool pull_fails;
};

struct client {
	struct prefork_connection *connection; /* NULL: none                           */
	bool is_connecting;                    /* it waits to be accepted              */
	enum prefork_next next;
	char *in; /* bytes sent; read up to in_at */
	size_t in_at, in_end, in_buffer;
	size_t lines_read;   /* line feeds that the server has read      */
	size_t segment;      /* maximum of one read; 0: none             */
	size_t window;       /* bytes that it still receives             */
	bool is_limited;     /* to its window                            */
	bool has_ended;      /* its output                               */
	bool client_reset;
	bool is_blocked;     /* the last send was partial                */
	bool output_ended;   /* by the server                            */
	bool server_reset;   /* the server has reset the connection      */
	uint64_t deadline_ms;   /* of its connection                         */
	size_t out_at_deadline; /* output when the deadline was set          */
	size_t out_max;         /* output must not exceed this               */
	unsigned last_requests; /* begun while the worker drains             */
	unsigned closed_calls;
	char *out;           /* output of the server */
	size_t out_end, out_buffer;
	struct response *responses, **last_response;
	unsigned response_count;
};

/* serve_client.c */

extern const struct prefork_transport serve_transport;

struct client *client_of(struct prefork_connection *connection);
void client_open(struct client *client, size_t capacity);
void client_clear(struct client *client);
void client_send(struct client *client, const void *bytes, size_t size);

/* Whether a wait for `event` would end now. */
bool client_is_ready(const struct client *client, enum prefork_next event);

/* serve_handler.c */

enum { PATTERN_PERIOD = 251, PATTERN_SIZE = 2 * 1024 * 1024, FILE_SIZE = 70000 };

extern const struct prefork_http_service serve_handler;

/* The first is called once per process, the second before each input. */
void handler_init(void);
void handler_reset(void);

/* Byte `at` of every body. */
char body_byte(size_t at);

/* serve_reader.c */

/* Demands that the output is well-formed and has, in order, the responses of the handler. */
void reader_check(const struct client *client);

/* fuzz_serve.c */

/* For the handler: let time pass; drain the worker. */
void script_pass_ms(uint64_t ms);
void script_drain(void);

/* serve_system.c */

extern struct serve_system {
	bool is_active;      /* a worker exists: calls are intercepted */
	bool in_server;    /* the server runs, not the script        */
	bool is_full;      /* the disk                               */
	unsigned allocations_left; /* until one fails; 0: none fails */
	uint64_t now_ns;
} serve_system;

/* Memory of the fuzzer: never NULL. */
void *script_grow(void *old, size_t size);

#endif
