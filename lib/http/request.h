/*
 * request -- struct prefork_request: a connection, and its current request.
 *
 * One object serves all requests of a connection and, through the pool, later connections, so
 * that a request allocates nothing. One thread uses it at a time, as its connection, with two
 * exceptions from `handle` to `finished`, where the application may have more threads:
 *
 *     writing pieces of the response, and ending it    under the mutex `output`
 *     reading the body                                 under the mutex `input`
 *
 * A reader that sends 100 Continue locks `output`, too (order: input, output). A writer that needs
 * to know how much of the body is left only tries `input`. One thread builds the response head.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "base/log_limit.h"
#include "base/networks.h"
#include "http/access_file.h"
#include "http/body.h"
#include "http/date.h"
#include "http/framing.h"
#include "http/head.h"
#include "http/response_head.h"
#include "http/pending_output.h"
#include "http/spool.h"
#include "http/statsd_arbiter.h"
#include "http/trailers.h"
#include "http/forwarded.h"
#include "http/uwsgi_head.h"

#include <prefork/http.h>

#include <pthread.h>
#include <stdatomic.h>

struct iovec;
struct pfi_access;

/* The values of the settings, read once per worker. */
struct pfi_http_config {
	struct pfi_limits limits;
	uint64_t header_timeout_ms;
	uint64_t body_timeout_ms;
	uint64_t write_timeout_ms;
	uint64_t keepalive_ms; /* 0: every response closes */
	uint64_t drain_first_ms; /* time for the first request of a connection when the worker drains */
	uint64_t body_rate;    /* least bytes per second of a request body; 0: any */
	uint64_t response_rate; /* least bytes per second that the client takes of a response; 0: any */
	uint64_t queue_ms;     /* that a request may wait for a thread; 0: no limit */
	uint64_t queue_max;    /* requests that may wait for a thread; 0: no limit */
	uint64_t suspend_timeout_ms; /* 0: no limit */
	bool client_gone_on_fin;
	struct pfi_forwarded forwarded;
	bool is_uwsgi;          /* requests are uwsgi packets */
	struct pfi_networks uwsgi_peers; /* that may send them */
	size_t response_memory; /* of pending output in the queue */
	bool sendfile;          /* files of the application are sent by sendfile(2) */
	bool streams_uploads;   /* bodies are not collected if threads can wait for them */
	struct pfi_spool_store store; /* files for bodies and pending output, limits of memory */
};

/* A pool of workers that serve HTTP: created in the arbiter; each worker has its copy (fork). */
struct pfi_http {
	struct prefork_http_service service; /* members that the application's struct_size does not cover are NULL */
	void *user;
	struct pfi_http_config config;
	_Atomic(struct prefork_request *) spare; /* one more object without a connection, taken and put without a lock */
	pthread_mutex_t lock;         /* of `free`: threads share it */
	struct prefork_request *free; /* request objects without a connection */
	struct prefork_request *abandoned; /* suspended when the worker left: kept until the process ends */
	_Atomic size_t suspended;     /* requests */
	_Atomic unsigned resumers;    /* threads inside prefork_request_resume() */
	struct pfi_access *access;    /* of this worker; NULL: no access log */
	struct pfi_statsd_worker *metrics; /* of this worker; NULL: none */
	bool reports;                 /* there is one of these two */
	atomic_flag has_logged;         /* that no spool file can be had: see pfi_request_log_spool_error() */
	struct pfi_log_limit uwsgi_peer_refused;
	struct pfi_access_file access_file; /* of the arbiter; inherited  */
	int zone_s;                   /* seconds east of UTC, for the access log */
	struct pfi_statsd_arbiter statsd; /* of the arbiter; a worker uses the target */
};

/* Where a connection is between accept and close. */
enum pfi_phase {
	PFI_PHASE_IDLE,    /* no byte of a request is received */
	PFI_PHASE_HEAD,    /* a part of the head is received */
	PFI_PHASE_COLLECT, /* the body is being collected, so that no thread waits for it */
	PFI_PHASE_SUSPENDED, /* prefork_request_suspend(); or resumed, and `resumed` is not called yet */
	PFI_PHASE_SEND,    /* the handler has returned; output is pending */
	PFI_PHASE_SKIP,    /* the response is sent; the rest of the body is discarded */
	PFI_PHASE_LINGERING_CLOSE, /* output has ended; input is discarded (RFC 9112 9.6) */
};

/* The callbacks `handle`, `resumed` and `pull` of the current request, and its suspension:
 *
 *     NONE -- handle --> RUNS -- returned --> RETURNED -- pull --> RUNS ...
 *     RUNS -- suspend() --> SUSPENDING -- the callback returns --> SUSPENDED
 *     SUSPENDING -- resume() --> RESUMED_EARLY
 *     SUSPENDED -- resume() --> RESUMED
 *     RESUMED_EARLY, RESUMED -- in the worker --> RUNS (`resumed`)
 *     SUSPENDED -- the worker leaves --> ABANDONED
 *
 * From SUSPENDING to RESUMED the request belongs to the thread that resumes it. */
enum pfi_run {
	PFI_RUN_NONE, /* `handle` was not called, or `finished` was */
	PFI_RUN_RUNS,
	PFI_RUN_RETURNED,
	PFI_RUN_SUSPENDING,
	PFI_RUN_SUSPENDED,
	PFI_RUN_RESUMED_EARLY,
	PFI_RUN_RESUMED,
	PFI_RUN_ABANDONED,
};

/* The state of the response. pfi_response_enter() is the only writer, but for a suspended request, whose response
 * another thread may end: see pfi_response_claim(). */
enum pfi_stage {
	PFI_STAGE_NONE,
	PFI_STAGE_HEAD,   /* started: fields may be added */
	PFI_STAGE_PIECES, /* the head is complete, pieces of the body follow */
	PFI_STAGE_PULL,   /* the head is complete, `pull` returns the body */
	PFI_STAGE_DONE,   /* all of it is sent or pending */
};

enum {
	PFI_IN_SIZE = 4096,        /* buffer for heads in the object itself */
	PFI_OUT_SIZE = 2048,
	PFI_OUT_MAX = 1024 * 1024,
};

struct pfi_response {
	_Atomic uint8_t stage; /* enum pfi_stage: see pfi_response_enter() */
	uint8_t body;    /* first of what pfi_response_start() clears: enum pfi_response_body, once the head is complete */
	_Atomic bool is_closed; /* no more pieces are accepted */
	bool has_length;
	bool has_date;
	bool has_server;
	int status;
	uint64_t length; /* Content-Length */
	uint64_t sent;   /* bytes of the body that are sent or pending; without the file */
	size_t head_length; /* bytes of `out` that the access log reads once the head is sent */
	ptrdiff_t (*pull)(struct prefork_request *request, const void **ret_bytes, void *user);
	void *pull_user;
	struct pfi_out out; /* not cleared */
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
	_Atomic uint8_t run; /* enum pfi_run */
	_Atomic bool is_client_gone; /* found while it was suspended, or in a handler in another thread */
	bool is_pipelined;  /* it was received before the response to the previous one was sent */
	bool is_tls;        /* of the connection, or its PROXY header or the proxy over uwsgi says that the client uses it */
	bool is_secure;     /* the client uses TLS: here, or as a trusted proxy reports */
	bool has_head;      /* complete and valid: `head` may be read */
	bool continue_due;  /* the client waits for 100 Continue before it sends the body */
	_Atomic int error;  /* the first negative errno of this request; 0: none */
	struct pfi_http_error http_error; /* of the request body: the error response to send */
	char *in;           /* in_buffer, or allocated memory for a long head */
	size_t in_size;
	size_t in_from;     /* the current request begins here */
	size_t in_at;       /* parsed up to here: what follows is body, or the next request */
	size_t in_end;
	struct pfi_head head;
	struct pfi_framing framing;
	struct pfi_body body;
	bool is_collected;  /* the body is in `spool`: all of it, or as much as the limits allow */
	uint64_t uploaded;      /* bytes of the body and its framing that were read from the connection */
	uint64_t upload_us;     /* time spent waiting for them */
	uint64_t collect_us;    /* when collecting began; 0: the body is not being collected */
	struct pfi_spool spool;
	struct pfi_pending_output pending;
	struct pfi_trailers trailers;
	size_t skipped;     /* bytes of the body that were discarded */
	uint64_t began_us;  /* when the head was complete; set only if there is an access log, or metrics */
	struct pfi_response response;
	pthread_mutex_t output;
	pthread_mutex_t input;
	struct pfi_uwsgi_client client; /* over uwsgi: what the proxy reports; see pfi_request_client() */
	char in_buffer[PFI_IN_SIZE];
	char out_buffer[PFI_OUT_SIZE];
	struct pfi_field fields[]; /* limits.fields_max */
};

/* `handle` is called, `finished` is not called yet. */
static inline bool pfi_request_in_handler(const struct prefork_request *request)
{
	return atomic_load_explicit(&request->run, memory_order_relaxed) != PFI_RUN_NONE;
}

/* The head must be complete. */
static inline bool pfi_request_is_head(const struct prefork_request *request)
{
	return request->head.method.length == 4 &&
	       memcmp(request->in + request->in_from + request->head.method.at, "HEAD", 4) == 0;
}

/* Lock `output` or `input`. A mutex would block the thread of a task whose owner is another task of that thread, so a
 * task is suspended instead. 0; or -ECANCELED, only in a task: that wait is cancelled, and the mutex is not locked. */
int pfi_request_lock(struct prefork_request *request, pthread_mutex_t *mutex);

static inline void pfi_request_unlock(pthread_mutex_t *mutex)
{
	(void)pthread_mutex_unlock(mutex);
}

/* The minor version of HTTP that a response may assume. Over uwsgi it has no chunks, no interim responses and no kept
 * connection, whatever version the client of the proxy uses. */
static inline uint8_t pfi_request_response_minor(const struct prefork_request *request)
{
	return request->http->config.is_uwsgi ? 0 : request->head.minor;
}

/* The client of a proxy that uses uwsgi; NULL: there is no such proxy. */
static inline const struct pfi_uwsgi_client *pfi_request_client(const struct prefork_request *request)
{
	return request->http->config.is_uwsgi ? &request->client : NULL;
}

/* Double the size of the input buffer. 0 or -ENOMEM. */
int pfi_request_grow_input(struct prefork_request *request);

/* Insert `size` bytes after the head, which then belong to it, for texts that spans of the head point at. Returns
 * their offset, or -ENOMEM. */
int64_t pfi_request_open_gap(struct prefork_request *request, size_t size);

/* Record an error, unless the request has one. Returns the request's first error. Any thread. */
int pfi_request_fail(struct prefork_request *request, int error);

/* The same for an error of the application, not of the client: logged with the error message of prefork_fail(),
 * unless it is PREFORK_EAPP, which the application has logged itself. */
int pfi_request_handler_failed(struct prefork_request *request, int error);

/* The spool failed for a reason that an operator can fix (disk full, no directory): log it once per worker, with the
 * error message of prefork_fail(). */
void pfi_request_log_spool_error(struct prefork_request *request);

/* Send all pieces. What the client does not take now becomes pending output; if that exceeds the limits, a thread
 * that may block waits. Modifies `pieces`. 0; -ECANCELED: the wait of a task was cancelled, nothing is sent, and the
 * same pieces may be sent again; or a negative errno, which is then the request's. */
int pfi_request_send(struct prefork_request *request, struct iovec *pieces, int count);

/* Send from the spool and the file of the pending output. 0; -EAGAIN: some is left; or the request's error. */
int pfi_request_flush(struct prefork_request *request);

/* Discard the pending output: the request has this error. Returns the request's first error. */
int pfi_request_abort_output(struct prefork_request *request, int error);

/* Other threads that read the stage hold a lock, or only ask whether the response has begun, or is DONE: then all of it
 * has been sent or is pending, which release makes visible. */
static inline void pfi_response_enter(struct pfi_response *response, enum pfi_stage stage)
{
	atomic_store_explicit(&response->stage, (uint8_t)stage, memory_order_release);
}

/* Begin a request body; the head must be DONE. Reads nothing. */
void pfi_upload_start(struct prefork_request *request);

/* Whether all of the body is in the input buffer already. */
bool pfi_upload_is_received(const struct prefork_request *request);

/* How long, in ms, the client may send nothing now; 0: it is below body_rate. */
uint64_t pfi_upload_timeout_ms(const struct prefork_request *request);

/* Read the body into the spool, without waiting. DONE: all of it, or the limits are reached and the handler can
 * wait for the rest; MORE; or BAD with request->error set. */
enum pfi_verdict pfi_upload_collect(struct prefork_request *request);

/* Whether the rest of the body is so short that it is discarded, and the connection kept. */
bool pfi_upload_can_be_skipped(const struct prefork_request *request);

/* The same while the handler runs. False while another thread reads the body. */
bool pfi_upload_rest_may_stay_unread(struct prefork_request *request);

static inline bool pfi_upload_may_stay_unread(struct prefork_request *request)
{
	return request->framing.body == PFI_BODY_NONE || pfi_upload_rest_may_stay_unread(request);
}

/* Discard the body, without waiting. DONE; MORE: wait until readable; or BAD: close. */
enum pfi_verdict pfi_upload_skip(struct prefork_request *request);

/* Reset the response. */
void pfi_response_start(struct prefork_request *request);

/* Enter `stage` if no response is started, which two threads may try for a suspended request: the one that resumes it,
 * and the first thread if it is suspended for too long. */
static inline bool pfi_response_claim(struct pfi_response *response, enum pfi_stage stage)
{
	uint8_t none = PFI_STAGE_NONE;

	return atomic_compare_exchange_strong(&response->stage, &none, (uint8_t)stage);
}

/* An interim response (1xx) is being built; another response follows it. */
static inline bool pfi_response_is_interim(const struct prefork_request *request)
{
	return request->response.stage == PFI_STAGE_HEAD && request->response.status < 200;
}

/* Send a head and what follows it. The head is the first of the pieces, and in the buffer of `response.out`. As
 * pfi_request_send(). */
int pfi_response_send_head(struct prefork_request *request, struct iovec *pieces, int count);

/* The handler has returned: wait for threads that are writing a piece; later ones get -EALREADY. */
void pfi_response_refuse_pieces(struct prefork_request *request);

static inline void pfi_response_close(struct prefork_request *request)
{
	const unsigned stage = atomic_load_explicit(&request->response.stage, memory_order_relaxed);

	if (stage == PFI_STAGE_HEAD || stage == PFI_STAGE_PIECES) /* the stages that accept pieces */
		pfi_response_refuse_pieces(request);
}

/* As prefork_response_begun(). Before the first pull the head is complete, but not sent. */
static inline bool pfi_response_is_begun(const struct prefork_request *request)
{
	return request->response.stage > PFI_STAGE_HEAD && request->response.out.length == 0;
}

/* Bytes of the body that are sent or pending. 0 if the response has none, whatever the handler has written, as to HEAD. */
static inline uint64_t pfi_response_sent(const struct prefork_request *request)
{
	return request->response.body == PFI_RESPONSE_NONE ? 0 : request->response.sent + request->pending.file_sent;
}

/* Send a piece of the body, as a chunk if the body is chunked, after the head if that is not sent yet. */
int pfi_response_send_piece(struct prefork_request *request, const void *bytes, size_t size);

/* Send what `pull` returns. DONE; MORE: the client must take some first; or BAD with request->error set. */
enum pfi_verdict pfi_response_send_pulled(struct prefork_request *request);

/* End a body of pieces. */
int pfi_response_end_pieces(struct prefork_request *request);

/* After `handle`: produce the rest of the response, without waiting. DONE: all of it is sent or pending; MORE: the
 * client must take some first; BAD: the request has an error, or no response was begun. */
enum pfi_verdict pfi_response_proceed(struct prefork_request *request);

#endif
