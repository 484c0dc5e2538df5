/*
 * request -- the inside of struct prefork_request: one client's connection, and
 * the request that is in hand on it.
 *
 * One object per connection, used again for each of its requests and, through
 * the pool, for later connections: a request allocates nothing. It is touched
 * by one thread at a time, as its connection is, but for two things, during
 * `handle` and, as far as a program leaves threads behind, until `finished`:
 *
 *     pieces are written, and the response is ended    under `output`
 *     the body is read                                 under `input`
 *
 * A reader that sends 100 Continue takes `output`, too; a writer that wants to know
 * how much of the body is left only tries `input`. The head of a response is
 * built by one thread.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "http/body.h"
#include "http/date.h"
#include "http/framing.h"
#include "http/head.h"
#include "http/response_head.h"
#include "http/pending_output.h"
#include "http/spool.h"
#include "http/trailers.h"
#include "http/forwarded.h"

#include <prefork/http.h>

#include <pthread.h>
#include <stdatomic.h>

struct iovec;
struct pfi_access;

/* What the settings say, read once per worker. */
struct pfi_http_config {
	struct pfi_limits limits;
	uint64_t header_timeout_ms;
	uint64_t body_timeout_ms;
	uint64_t write_timeout_ms;
	uint64_t keepalive_ms; /* 0: every response closes */
	uint64_t drain_idle_ms;  /* that a client which has not asked yet has left when the worker leaves */
	uint64_t body_rate;    /* bytes per second that a body must come with; 0: none */
	uint64_t response_rate; /* and that a response must be taken with */
	uint64_t queue_ms;     /* that a request may wait for its turn; 0: for ever */
	uint64_t queue_max;    /* requests that may wait for a thread; 0: any number */
	struct pfi_forwarded forwarded;
	size_t response_memory; /* of a response that its client has not taken yet */
	bool streams_uploads;   /* bodies are not collected where a thread can wait for them */
	struct pfi_spool_store store; /* of what is kept in files; the settings' */
};

/* A pool of workers that serve HTTP: made in the arbiter, each worker has its copy. */
struct pfi_http {
	struct prefork_http_service service; /* as far as the host knows it, the rest NULL */
	void *user;
	struct pfi_http_config config;
	pthread_mutex_t lock;         /* of `free`: threads share it */
	struct prefork_request *free; /* objects without a connection */
	struct pfi_access *access;    /* of this worker; NULL: no access log */
	atomic_flag has_logged;         /* that bodies cannot be kept: see pfi_request_log_spool_error() */
	int zone_s;                   /* how far local time is east of Greenwich, for it */
};

/* Where a connection is between accept and close. */
enum pfi_phase {
	PFI_PHASE_IDLE,    /* nothing of a request has come                               */
	PFI_PHASE_HEAD,    /* a part of its head has                                      */
	PFI_PHASE_COLLECT, /* its body is collected, so that nobody has to wait for it    */
	PFI_PHASE_SEND,    /* handled; the client has yet to take all of the answer       */
	PFI_PHASE_SKIP,    /* answered; the rest of its body is thrown away               */
	PFI_PHASE_LINGERING_CLOSE,  /* our side has ended; what the client still says is ignored   */
};

/* How far the response is. */
enum pfi_stage {
	PFI_STAGE_NONE,
	PFI_STAGE_HEAD,   /* started: fields may be added */
	PFI_STAGE_PIECES, /* its head has left, pieces follow */
	PFI_STAGE_PULL,   /* the head is complete, `pull` returns the body */
	PFI_STAGE_DONE,
};

enum {
	PFI_IN_SIZE = 4096,        /* room for heads in the object itself */
	PFI_OUT_SIZE = 2048,
	PFI_OUT_MAX = 1024 * 1024,
};

struct pfi_response {
	_Atomic uint8_t stage; /* enum pfi_stage: see pfi_response_enter() */
	uint8_t body;    /* enum pfi_response_body, once the head has left */
	_Atomic bool is_closed; /* no more pieces are accepted */
	bool has_length;
	bool has_date;
	bool has_server;
	int status;
	uint64_t length; /* what Content-Length said */
	uint64_t sent;   /* bytes of body */
	struct pfi_out out;
	size_t head_length; /* of what `out` holds once the head has left */
	ptrdiff_t (*pull)(struct prefork_request *request, const void **ret_bytes, void *user);
	void *pull_user;
};

struct prefork_request {
	struct prefork_connection *connection; /* NULL in the pool */
	struct prefork_worker *worker;
	struct pfi_http *http;
	struct prefork_request *next;
	void *user;
	uint8_t phase; /* enum pfi_phase */
	bool is_first;      /* of its connection */
	bool keep_alive;
	bool in_handler;     /* `handle` was called, `finished` was not */
	bool is_pipelined;  /* it came with the one before it, and waited for that one's answer */
	bool is_secure;     /* the client spoke TLS, as a proxy that we trust says */
	bool has_head;      /* complete, and right: `head` is to be looked at    */
	bool continue_due;  /* the client waits for 100 before it sends its body */
	_Atomic int error;  /* the first one of this request */
	struct pfi_http_error http_error; /* of its body: what the client is to be told */
	char *in;           /* in_buffer, or memory of its own for a long head */
	size_t in_size;
	size_t in_from;     /* the request in hand begins here */
	size_t in_at;       /* read so far: the rest of its body, or the next request */
	size_t in_end;
	struct pfi_head head;
	struct pfi_framing framing;
	struct pfi_body body;
	bool is_collected;  /* the body is in `spool`, all of it or as much as there was room for */
	uint64_t uploaded;      /* bytes of the body, and of what frames it, that were waited for */
	uint64_t upload_us;     /* how long that has taken                                        */
	uint64_t collect_us;    /* since when it is being collected; 0: it is not                 */
	struct pfi_spool spool;
	struct pfi_pending_output pending;
	struct pfi_trailers trailers;
	size_t skipped;     /* bytes of its body thrown away */
	uint64_t began_us;  /* when the head was complete; only set for the access log */
	struct pfi_response response;
	pthread_mutex_t output;
	pthread_mutex_t input;
	char in_buffer[PFI_IN_SIZE];
	char out_buffer[PFI_OUT_SIZE];
	struct pfi_field fields[]; /* limits.fields_max */
};

/* Once its head is complete. */
static inline bool pfi_request_is_head(const struct prefork_request *request)
{
	return request->head.method.length == 4 &&
	       memcmp(request->in + request->in_from + request->head.method.at, "HEAD", 4) == 0;
}

/* 0, or the first error of the request, which `error` becomes when it is the first. */
int pfi_request_fail(struct prefork_request *request, int error);

/* The same for what the host did, not the client: told in the log, with the error message that it left by
 * prefork_fail(), unless it is PREFORK_EAPP: then it has told by itself. */
int pfi_request_handler_failed(struct prefork_request *request, int error);

/* What its client sends or takes too slowly cannot be kept, for a reason that somebody could mend: tell, once
 * per worker, by the error message of prefork_fail(). */
void pfi_request_log_spool_error(struct prefork_request *request);

/* Send all pieces. What the client cannot take now is kept; a thread that may waits where there is no room
 * for it. Changes the pieces. 0, or a negative errno, which is then the request's. */
int pfi_request_send(struct prefork_request *request, struct iovec *pieces, int count);

/* Send from the spool and the file of the pending output. 0; -EAGAIN: some is left; or the request's error. */
int pfi_request_flush(struct prefork_request *request);

/* Discard the pending output: the request has this error. Returns the request's first error. */
int pfi_request_abort_output(struct prefork_request *request, int error);

/* Who else looks at the stage meanwhile has a lock or only wants to know whether a head has left. */
static inline void pfi_response_enter(struct pfi_response *response, enum pfi_stage stage)
{
	atomic_store_explicit(&response->stage, (uint8_t)stage, memory_order_relaxed);
}

/* Begin a body; the head must be DONE. Nothing is read yet. */
void pfi_upload_start(struct prefork_request *request);

/* Whether all of it has come already, and need only be looked at. */
bool pfi_upload_is_received(const struct prefork_request *request);

/* How long the client may be silent now: 0 when it has been too slow altogether. */
uint64_t pfi_upload_timeout_ms(const struct prefork_request *request);

/* Non-blocking: read on and keep the data. DONE: all of it, or there is no room for more and the handler can
 * wait for the rest; MORE; or BAD with request->error set. */
enum pfi_verdict pfi_upload_collect(struct prefork_request *request);

/* Whether the connection can go on behind what nobody may read of the body. */
bool pfi_upload_can_be_skipped(const struct prefork_request *request);

/* The same while `handle` runs. False in doubt: another thread reads it just now. */
bool pfi_upload_may_stay_unread(struct prefork_request *request);

/* Throw away what has come of the body. DONE, MORE (wait for more), or BAD. */
enum pfi_verdict pfi_upload_skip(struct prefork_request *request);

/* No response yet. */
void pfi_response_start(struct prefork_request *request);

/* One that is being built, and will not be the last of its request. */
static inline bool pfi_response_is_interim(const struct prefork_request *request)
{
	return request->response.stage == PFI_STAGE_HEAD && request->response.status < 200;
}

/* Send a head and what follows it; the head is the first of the pieces, and in its room. As
 * pfi_request_send(). */
int pfi_response_send_head(struct prefork_request *request, struct iovec *pieces, int count);

/* `handle` has returned: the threads that write a piece just now are waited for, those that come later refused. */
void pfi_response_close(struct prefork_request *request);

/* Send a piece of the body, chunked if need be, with the head before it if that has not left. */
int pfi_response_send_piece(struct prefork_request *request, const void *bytes, size_t size);

/* Send what `pull` returns. DONE; MORE: the client must take some first; or BAD with request->error set. */
enum pfi_verdict pfi_response_send_pulled(struct prefork_request *request);

/* The end of a body of pieces. */
int pfi_response_end_pieces(struct prefork_request *request);

/* After `handle`: end what it began, as far as that goes now. PREFORK_WAIT_WRITABLE
 * as MORE when the client must take something first. BAD: break off. */
enum pfi_verdict pfi_response_proceed(struct prefork_request *request);

#endif
