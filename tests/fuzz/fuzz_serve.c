/*
 * The HTTP service without processes and sockets: up to four clients send and receive as a script says, under
 * the traits of each strategy, while time passes, allocations fail, the disk is full, and the worker drains.
 *
 * A script begins with a byte for the strategy and a byte for the settings. The other bytes are sent by the
 * current client, except after a byte 0xff: a letter and a byte n follow it.
 *
 *     p        the server runs until it waits
 *     m n      each read returns at most n bytes; 0: no limit
 *     e, x     the client ends its output; resets the connection
 *     b, r n   the client stops reading; reads n more bytes (n - 100 KiB above 100)
 *     u        the client reads all output
 *     z n      the client sends n times 100 bytes
 *     t n      n ms pass (n - 99 half seconds above 99)
 *     c n      client n of 4 becomes the current one; it connects if it has no connection
 *     w        the server wakes without an event
 *     h n      offloaded callbacks wait from now on (n odd), or run (n even)
 *     l, q     the worker drains; quits
 *     n n      the n-th allocation from now fails
 *     d n      the disk is full from now on (n odd), or not (n even)
 *     0xff     the client sends 0xff
 *
 * serve_handler.c lists the paths.
 */
#include "serve.h"

#include "http/http_options.h"
#include "http/request.h"
#include "model/drain.h"
#include "model/library_options.h"
#include "model/worker_score.h"
#include "worker/offload_pool.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/log.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);

enum {
	CLIENTS = 4,
	CONTROL = 0xff,
	THREADS = 1,
	FDS_MAX = 4 * CLIENTS, /* upper bound of those that an input opens */
	LAST_DEADLINES = 12, /* of a connection whose client neither sends nor receives any more */
	STEPS_MAX = 100000,
};

static const unsigned strategy_traits[] = { PREFORK_STRATEGY_MAY_BLOCK, 0, 0 }; /* the last one offloads */

static const char *const variants[][8][2] = {
	{ { "keepalive", "5" }, { "accesslog", "" } },
	{ { "keepalive", "0" }, { "accesslog", "/dev/null" }, { "access_log_format", "json" }, { "header_map", "refuse" } },
	{ { "keepalive", "2" }, { "limit_request_line", "64" }, { "limit_request_fields", "4" },
	  { "limit_request_field_size", "64" }, { "limit_request_head", "1024" }, { "limit_request_body", "100" },
	  { "queue_limit", "1" }, { "header_map", "dangerous" } },
	{ { "keepalive", "1" }, { "body_memory", "4096" }, { "body_timeout", "1" }, { "header_timeout", "0.5" },
	  { "body_rate", "1000" }, { "write_timeout", "1" }, { "forwarded_allow_ips", "*" }, { "queue_timeout", "1" } },
	{ { "keepalive", "5" }, { "body_memory", "4096" }, { "response_memory", "1000" }, { "spool_limit", "40000" } },
	{ { "keepalive", "5" }, { "stream_uploads", "on" }, { "response_memory", "0" }, { "spool_limit", "400000" } },
	{ { "keepalive", "5" }, { "response_memory", "1000" }, { "spool_limit", "0" } },
	{ { "keepalive", "2" }, { "body_memory", "4096" }, { "response_memory", "1000" }, { "spool_dir", "/nowhere" } },
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static struct prefork_settings *settings[VARIANTS];
static struct prefork_log *log_;
static struct pfi_worker_score *score;
static int watchdog = -1;

/* The state of one input. */
static struct {
	const uint8_t *at, *end;
	struct prefork_worker *worker;
	struct pfi_offload_pool offload_pool;
	struct client clients[CLIENTS];
	struct client *current;
	struct prefork_service service;
	bool holds_offloaded; /* offloaded callbacks wait */
	unsigned steps;
} script;

void script_pass_ms(uint64_t ms)
{
	serve_system.now_ns += ms * 1000000;
}

static uint64_t now_ms(void)
{
	return serve_system.now_ns / 1000000;
}

/* In the order of set_directive() in worker/check.c: the end of the drain before the directive. */
static void set_directive(enum prefork_directive directive)
{
	if (atomic_load(&script.worker->drain_end_ms) == 0)
		atomic_store(&script.worker->drain_end_ms,
			     pfi_drain_end_ms(now_ms(), pfi_worker_settings(script.worker)->graceful_timeout_ms));
	atomic_store(&script.worker->directive, (int)directive);
}

void script_drain(void)
{
	if (atomic_load(&script.worker->directive) == PREFORK_CONTINUE)
		set_directive(PREFORK_DRAIN);
}

static void play_control(uint8_t letter, uint8_t n)
{
	static const char filler[256 * 100] = { 'z' };
	struct client *const client = script.current;

	switch (letter) {
	case 'm': client->segment = n; break;
	case 'e': client->has_ended = true; break;
	case 'x': client->client_reset = true; break;
	case 'b': client->is_limited = true; client->window = 0; break;
	case 'r': client->window += n <= 100 ? n : (n - 100u) * 1024; break;
	case 'u': client->is_limited = false; break;
	case 'z': client_send(client, filler, n * 100u); break;
	case 't': script_pass_ms(n < 100 ? n : (n - 99u) * 500); break;
	case 'c': script.current = &script.clients[n % CLIENTS]; break;
	case 'h': script.holds_offloaded = n % 2; break;
	case 'l': script_drain(); break;
	case 'q': set_directive(PREFORK_QUIT); break;
	case 'n': serve_system.allocations_left = n; break;
	case 'd': serve_system.is_full = n % 2; break;
	case 'w':
		if (client->connection && client->next != PREFORK_SUSPENDED && client->next != PREFORK_CLOSE)
			client->next = PREFORK_AGAIN;
		break;
	default: break;
	}
	if (letter == 'c' && !script.current->connection && !script.current->is_connecting &&
	    atomic_load(&script.worker->directive) == PREFORK_CONTINUE) {
		client_clear(script.current);
		client_open(script.current, (size_t)(script.end - script.at));
	}
}

/* Plays one control, or sends all bytes up to the next one. False: the script has ended. The server may call
 * this while a callback blocks. */
static bool play_one(void)
{
	const bool was_in_server = serve_system.in_server;

	if (script.at == script.end)
		return false;
	serve_system.in_server = false;
	if (*script.at == CONTROL && script.end - script.at >= 3 && script.at[1] != CONTROL) {
		const uint8_t letter = script.at[1], n = script.at[2];

		script.at += 3;
		play_control(letter, n);
	} else {
		const uint8_t *const from = script.at++;

		while (script.at < script.end && *script.at != CONTROL)
			script.at++;
		client_send(script.current, from, (size_t)(script.at - from));
		if (script.end - script.at >= 2 && script.at[1] == CONTROL)
			script.at++;
	}
	serve_system.in_server = was_in_server;
	return true;
}

/* While the server blocks, the script goes on. At its end the clock advances to the time limit. */
int __wrap_prefork_connection_wait(struct prefork_connection *connection, enum prefork_next event, uint64_t timeout_ms);
int __wrap_prefork_connection_wait(struct prefork_connection *connection, enum prefork_next event, uint64_t timeout_ms)
{
	const struct client *const client = client_of(connection);
	const uint64_t until_ms = now_ms() + timeout_ms;

	demand(prefork_connection_may_block(connection) && timeout_ms > 0);
	demand(event == PREFORK_WAIT_READABLE || event == PREFORK_WAIT_WRITABLE);
	for (;;) {
		if (atomic_load(&script.worker->directive) == PREFORK_QUIT)
			return prefork_fail(-EINTR, "the worker quits");
		if (client_is_ready(client, event))
			return 0;
		if (now_ms() >= until_ms)
			return prefork_fail(-ETIMEDOUT, "timed out waiting for the client");
		if (!play_one())
			serve_system.now_ns = until_ms * 1000000;
	}
}

/* Called after a deadline has passed. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	const enum prefork_next event = fds->events == POLLIN ? PREFORK_WAIT_READABLE : PREFORK_WAIT_WRITABLE;

	demand(count == 1 && timeout_ms == 0);
	for (size_t i = 0; i < CLIENTS; i++) {
		const struct client *const client = &script.clients[i];

		if (client->connection && prefork_connection_fd(client->connection) == fds->fd)
			return client_is_ready(client, event);
	}
	abort();
}

void __wrap_pfi_offload_pool_submit(struct pfi_offload_pool *offload_pool, struct prefork_connection *connection);
void __wrap_pfi_offload_pool_submit(struct pfi_offload_pool *offload_pool, struct prefork_connection *connection)
{
	connection->next = NULL;
	*offload_pool->last = connection;
	offload_pool->last = &connection->next;
	atomic_fetch_add(&offload_pool->queued, 1);
}

/* One callback of the offload pool, in this thread. */
static void run_offloaded(struct pfi_offload_pool *offload_pool)
{
	struct prefork_connection *const connection = offload_pool->first;

	offload_pool->first = connection->next;
	if (!offload_pool->first)
		offload_pool->last = &offload_pool->first;
	atomic_fetch_sub(&offload_pool->queued, 1);
	(void)prefork_worker_set_thread(script.worker, 1);
	prefork_worker_busy(script.worker);
	const enum prefork_next next = connection->work(script.worker, connection, connection->work_user);
	prefork_worker_idle(script.worker);
	if (next != PREFORK_SUSPENDED)
		pfi_connection_resume_offloaded(connection, next);
	(void)prefork_worker_set_thread(script.worker, 0);
}

static void accept_client(struct client *client)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	demand(fd >= 0);
	client->is_connecting = false;
	client->connection = pfi_connection_create(script.worker, fd, 0);
	if (!client->connection) {
		(void)close(fd);
		client->next = PREFORK_CLOSE;
		return;
	}
	client->connection->transport = &serve_transport;
	client->connection->address.any.sa_family = AF_UNIX;
	prefork_connection_set_driver(client->connection, client);
	client->next = PREFORK_AGAIN;
}

static void close_client(struct client *client)
{
	struct linger linger = { 0 };
	socklen_t size = sizeof linger;

	/* The callback `closed` may set SO_LINGER. */
	const int fd = dup(prefork_connection_fd(client->connection));
	prefork_connection_close(client->connection);
	demand(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0);
	(void)close(fd);
	client->server_reset = linger.l_onoff && linger.l_linger == 0;
	client->connection = NULL;
	client->next = PREFORK_CLOSE;
	demand(client->closed_calls == 1);
	for (const struct response *response = client->responses; response; response = response->next)
		demand(response->has_finished);
	demand(client->in_at > 0 || client->out_end == 0);
	reader_check(client);
}

static void count_closing(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct client *const client = client_of(connection);

	client->closed_calls++;
	pfi_http_table()->closed(worker, connection, user);
}

/* A connection that waits has a deadline, and no unparsed input if it is between requests. */
static void check_wait(struct client *client)
{
	const struct prefork_request *const request = prefork_connection_user(client->connection);
	const uint64_t deadline_ms = prefork_connection_deadline_ms(client->connection);

	demand(deadline_ms != 0);
	demand(request->phase != PFI_PHASE_IDLE || client->next == PREFORK_WAIT_WRITABLE || request->in_end == 0);
	if (deadline_ms != client->deadline_ms)
		client->out_at_deadline = client->out_end;
	client->deadline_ms = deadline_ms;
}

/* A client that has received nothing until the deadline gets no more output. */
static enum prefork_next expire(struct client *client)
{
	if (prefork_connection_pending(client->connection) > 0 && client->out_end == client->out_at_deadline)
		client->out_max = client->out_end;
	return prefork_connection_expire(client->connection);
}

/* What the event loops do with the result of a callback. */
static void apply(struct client *client, enum prefork_next next)
{
	const bool waits = next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;

	if (waits && atomic_load(&script.worker->directive) != PREFORK_CONTINUE)
		next = prefork_connection_drain(client->connection);
	client->next = next;
	if (next == PREFORK_CLOSE)
		close_client(client);
	else if (next != PREFORK_SUSPENDED && next != PREFORK_AGAIN)
		check_wait(client);
}

/* False: the client has no event. */
static bool serve_client(struct client *client)
{
	if (client->is_connecting)
		accept_client(client);
	if (!client->connection || client->next == PREFORK_SUSPENDED)
		return false;
	const uint64_t deadline_ms = prefork_connection_deadline_ms(client->connection);
	const bool has_expired = deadline_ms > 0 && deadline_ms <= now_ms();

	if (client->next == PREFORK_AGAIN || client_is_ready(client, client->next))
		apply(client, prefork_connection_proceed(client->connection));
	else if (has_expired)
		apply(client, expire(client));
	else
		return false;
	demand(script.steps++ < STEPS_MAX);
	return true;
}

static bool take_resumed(void)
{
	enum prefork_next next;
	struct prefork_connection *const connection = prefork_worker_take_resumed(script.worker, &next);

	if (connection)
		apply(client_of(connection), next);
	return connection != NULL;
}

/* Serves until every connection waits. */
static void serve(void)
{
	bool is_busy;

	serve_system.in_server = true;
	do {
		is_busy = false;
		for (size_t i = 0; i < CLIENTS && atomic_load(&script.worker->directive) != PREFORK_QUIT; i++)
			is_busy |= serve_client(&script.clients[i]);
		if (script.offload_pool.first && !script.holds_offloaded) {
			run_offloaded(&script.offload_pool);
			is_busy = true;
		}
		is_busy |= take_resumed();
	} while (is_busy);
	serve_system.in_server = false;
	demand(score->thread_slots[0].deadline_ms == 0);
}

/* Drains the connections that wait. */
static void drain_waiting(void)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *const client = &script.clients[i];

		if (client->connection &&
		    (client->next == PREFORK_WAIT_READABLE || client->next == PREFORK_WAIT_WRITABLE))
			apply(client, prefork_connection_drain(client->connection));
	}
}

/* Advances the clock to the next deadline. False: no connection has one. */
static bool pass_to_next_deadline(void)
{
	uint64_t first_ms = UINT64_MAX;

	for (size_t i = 0; i < CLIENTS; i++) {
		const struct client *const client = &script.clients[i];

		if (client->connection && prefork_connection_deadline_ms(client->connection) < first_ms)
			first_ms = prefork_connection_deadline_ms(client->connection);
	}
	if (first_ms == UINT64_MAX)
		return false;
	demand(first_ms > now_ms());
	serve_system.now_ns = first_ms * 1000000;
	return true;
}

/* Completes the offloaded callbacks, then closes every connection. */
static void quit_worker(void)
{
	serve_system.in_server = true;
	while (script.offload_pool.first)
		run_offloaded(&script.offload_pool);
	while (take_resumed())
		;
	for (size_t i = 0; i < CLIENTS; i++)
		if (script.clients[i].connection)
			close_client(&script.clients[i]);
	serve_system.in_server = false;
}

static void play(void)
{
	bool has_drained = false;

	do {
		serve();
		if (!has_drained && atomic_load(&script.worker->directive) == PREFORK_DRAIN) {
			has_drained = true;
			drain_waiting();
		}
	} while (atomic_load(&script.worker->directive) != PREFORK_QUIT && play_one());
	script.holds_offloaded = false;
	if (atomic_load(&script.worker->directive) != PREFORK_QUIT) {
		serve();
		for (int i = 0; i < LAST_DEADLINES * CLIENTS && pass_to_next_deadline(); i++)
			serve();
		demand(prefork_worker_connections(script.worker) == 0);
	}
	quit_worker();
}

static void ignore_wake(void *user)
{
	(void)user; /* serve() calls take_resumed() in any case */
}

/* A worker as pfi_worker_main() sets it up. */
static void run_worker(unsigned kind, const struct prefork_settings *its)
{
	const struct prefork_strategy strategy = { .struct_size = sizeof strategy, .name = "script", .traits = strategy_traits[kind] };
	struct pfi_http *const http = pfi_http_create(&serve_handler, NULL);
	const struct pfi_spawn_context context = {
		.program = "fuzz", .pool = "web", .settings = its, .log = log_, .strategy = &strategy, .user = http,
		.score = score, .thread_slots = THREADS + 1, .channel = -1, .arbiter_pidfd = -1, .watchdog = watchdog,
	};
	struct prefork_worker worker = { .context = &context, .strategy = strategy, .service = *pfi_http_table(),
		                         .fd = -1, .wake_fd = -1, .quit_fd = -1, .wake = ignore_wake };

	worker.service.closed = count_closing;
	script.worker = &worker;
	serve_system.is_active = true;
	demand(http != NULL && pfi_thread_status_open(&worker) == 0);
	if (kind == 2) {
		worker.offload_pool = &script.offload_pool;
		script.offload_pool.last = &script.offload_pool.first;
	}
	demand(worker.service.worker_start(&worker, http) == 0);
	play();
	worker.service.worker_stop(&worker, http);
	pfi_thread_status_close(&worker);
	pfi_connection_pool_finish(&worker);
	serve_system.is_active = false;
	pfi_http_destroy(http);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	handler_init();
	watchdog = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	score = aligned_alloc(128, pfi_worker_score_bytes(THREADS + 1));
	demand(watchdog >= 0 && score != NULL && memset(score, 0, pfi_worker_score_bytes(THREADS + 1)) && prefork_log_create("/dev/null", 2, &log_) == 0);
	for (size_t i = 0; i < VARIANTS; i++) {
		demand(prefork_settings_create(&settings[i]) == 0);
		demand(prefork_http_add_options(settings[i]) == 0);
		demand(prefork_settings_set_default(settings[i], "threads", "1") == 0);
		for (size_t k = 0; k < 8 && variants[i][k][0]; k++)
			demand(prefork_settings_set_default(settings[i], variants[i][k][0], variants[i][k][1]) == 0);
	}
	return 0;
}

/* Open descriptors in the range that the next ones are taken from. */
static int count_fds(int first_fd)
{
	int count = 0;

	for (int fd = first_fd; fd < first_fd + FDS_MAX; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int first_fd = dup(watchdog);

	(void)close(first_fd);
	const int fds_before = count_fds(first_fd);
	if (size < 2)
		return 0;
	memset(&script, 0, sizeof script);
	memset(&serve_system, 0, sizeof serve_system);
	script.at = data + 2;
	script.end = data + size;
	serve_system.now_ns = UINT64_C(1000000) * 1000000000;
	script.current = &script.clients[0];
	handler_reset();
	client_open(script.current, size);
	run_worker(data[0] % 3, settings[data[1] % VARIANTS]);
	for (size_t i = 0; i < CLIENTS; i++)
		client_clear(&script.clients[i]);
	demand(count_fds(first_fd) == fds_before);
	return 0;
}
