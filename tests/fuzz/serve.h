/*
 * serve -- what the files of the fuzzer of the serve path share.
 *
 *     fuzz_serve     plays the script, and the loop that a worker would be
 *     serve_client   a client: the transport that stands where its socket would
 *     serve_host     the host, which does what the path of a request says
 *     serve_reader   reads back what came out, knowing what the host meant
 *     serve_system   the clock, memory and the disk
 */
#ifndef FUZZ_SERVE_H
#define FUZZ_SERVE_H

#include "worker/connection.h"

#include <prefork/service.h>
#include <prefork/strategy.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefork_http_service;

/* What the host has answered to one request. */
struct answer {
	struct answer *next;
	bool to_head;
	bool has_ended;    /* as far as the host is concerned                     */
	bool has_finished; /* the last call for it has come                       */
	unsigned minor;
	unsigned number; /* on its connection, from 0; in the field N            */
	int status;      /* that was started last; 0: none                       */
	int error;       /* prefork_request_error() at its end                   */
	size_t given;    /* bytes of body that the library took                  */
	size_t most;     /* and those of the call that failed                    */
	size_t out_by_then; /* bytes that had left the server at its end         */
	size_t piece, pieces; /* for the callback                                */
	bool pull_fails;
};

struct client {
	struct prefork_connection *connection; /* NULL: there is none              */
	bool knocks;                           /* there is to be one               */
	enum prefork_next next;
	char *in; /* what it has said; read up to in_at */
	size_t in_at, in_end, in_buffer;
	size_t said; /* of that, ends of lines that were read */
	size_t segment;      /* what is read at once; 0: all there is    */
	size_t window;       /* that it still takes                      */
	bool is_choosy;      /* it takes no more than its window         */
	bool has_ended;      /* its side                                 */
	bool was_reset;
	bool is_hungry;      /* it did not take all that was last sent   */
	bool was_ended;      /* by the server: no more will be sent      */
	bool was_broken;     /* the server's end is a reset              */
	uint64_t late_ms;     /* the deadline of its connection            */
	size_t out_by_late;   /* bytes that had left the server at its setting */
	size_t out_max;       /* more must not leave it: it is stuck       */
	unsigned last_requests; /* begun after its worker was to leave */
	unsigned closings;
	char *out; /* what has come from the server */
	size_t out_end, out_buffer;
	struct answer *answers, **last;
	unsigned answer_count;
};

/* What no input may break. */
void demand(bool promise);

/* serve_client.c */

extern const struct pfi_transport serve_transport;

struct client *client_of(struct prefork_connection *connection);
void client_open(struct client *client, size_t capacity);
void client_clear(struct client *client);
void client_say(struct client *client, const void *bytes, size_t size);

/* Whether it would wake somebody who waits for `event`. */
bool client_is_ready(const struct client *client, enum prefork_next event);

/* serve_host.c */

enum { PATTERN_PERIOD = 251, PATTERN_SIZE = 2 * 1024 * 1024, FILE_SIZE = 70000 };

extern const struct prefork_http_service serve_host;

/* Once per process, and before each input. */
void host_init(void);
void host_reset(void);

/* Byte `at` of every body. */
char host_byte(size_t at);

/* serve_reader.c */

/* All that has come out is what the host meant, as far as it came, in order and well-formed. */
void reader_check(const struct client *client);

/* fuzz_serve.c */

/* Let time pass inside a callback of the host's. */
void script_pass_ms(uint64_t ms);
void script_leave(void);

/* serve_system.c */

extern struct serve_system {
	bool is_ours;      /* not the fuzzer's: there is a worker */
	bool is_inside;    /* the server's code is at work        */
	bool is_full;      /* the disk                            */
	unsigned fails_in; /* allocations from now; 0: none does  */
	uint64_t now_ns;
} serve_system;

/* Memory for what is no server's, which never fails. */
void *script_grow(void *old, size_t size);

#endif
