/*
 * The whole serve path, without a fork: up to four clients at once say and take what a script has
 * them, under the face of each strategy, while time passes, memory runs out and the worker is to leave.
 *
 * A script begins with a byte for the face and one for the settings. The rest is what the current
 * client says, except where a byte 0xff comes: then a letter and a byte n follow.
 *
 *     p        a pause, in which the server does what it can
 *     m n      from now on no more than n bytes are read at once; 0: all there is
 *     e, x     the client ends its side; resets the connection
 *     b, r n   the client takes nothing more; takes n bytes (n - 100 KiB above 100)
 *     u        the client takes all that comes
 *     z n      the client says n times 100 bytes
 *     t n      n ms pass (n - 99 half seconds above 99)
 *     c n      the current client is number n of 4, who connects if it must
 *     w        the server wakes up for nothing
 *     h n      from now on what is offloaded waits (n odd), or not
 *     l, q     the worker is to leave; to quit
 *     n n      the n-th allocation from now fails
 *     d n      from now on the disk is full (n odd), or not
 *     0xff     the client says 0xff
 *
 * See serve_host.c for what the host answers.
 */
#include "serve.h"

#include "http/http_options.h"
#include "http/request.h"
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
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	CLIENTS = 4,
	CONTROL = 0xff,
	THREADS = 1,
	FDS_MAX = 4 * CLIENTS, /* that may be open at once */
	LAST_DEADLINES = 12, /* one connection may have, with nobody left who says or takes anything */
	STEPS_MAX = 100000,
};

static const unsigned faces[] = { PREFORK_STRATEGY_MAY_BLOCK, 0, 0 }; /* the last one offloads */

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
	{ { "keepalive", "2" }, { "body_memory", "4096" }, { "response_memory", "1000" }, { "worker_tmp_dir", "/nowhere" } },
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static struct prefork_settings *settings[VARIANTS];
static struct prefork_log *log_;
static struct pfi_worker_score *score;
static int watchdog = -1;

/* What an input has made. */
static struct {
	const uint8_t *at, *end;
	struct prefork_worker *worker;
	struct pfi_offload_pool offload_pool;
	struct client clients[CLIENTS];
	struct client *current;
	struct prefork_service service;
	bool holds; /* what is offloaded waits */
	unsigned steps;
} script;

void demand(bool promise)
{
	if (!promise)
		abort();
}

void script_pass_ms(uint64_t ms)
{
	serve_system.now_ns += ms * 1000000;
}

void script_leave(void)
{
	if (atomic_load(&script.worker->directive) == PREFORK_CONTINUE)
		atomic_store(&script.worker->directive, PREFORK_DRAIN);
}

static uint64_t now_ms(void)
{
	return serve_system.now_ns / 1000000;
}

static void play_control(uint8_t letter, uint8_t n)
{
	static const char filler[256 * 100] = { 'z' };
	struct client *const client = script.current;

	switch (letter) {
	case 'm': client->segment = n; break;
	case 'e': client->has_ended = true; break;
	case 'x': client->was_reset = true; break;
	case 'b': client->is_choosy = true; client->window = 0; break;
	case 'r': client->window += n <= 100 ? n : (n - 100u) * 1024; break;
	case 'u': client->is_choosy = false; break;
	case 'z': client_say(client, filler, n * 100u); break;
	case 't': script_pass_ms(n < 100 ? n : (n - 99u) * 500); break;
	case 'c': script.current = &script.clients[n % CLIENTS]; break;
	case 'h': script.holds = n % 2; break;
	case 'l': script_leave(); break;
	case 'q': atomic_store(&script.worker->directive, PREFORK_QUIT); break;
	case 'n': serve_system.fails_in = n; break;
	case 'd': serve_system.is_full = n % 2; break;
	case 'w':
		if (client->connection && client->next != PREFORK_SUSPENDED && client->next != PREFORK_CLOSE)
			client->next = PREFORK_AGAIN;
		break;
	default: break;
	}
	if (letter == 'c' && !script.current->connection && !script.current->knocks &&
	    atomic_load(&script.worker->directive) == PREFORK_CONTINUE) {
		client_clear(script.current);
		client_open(script.current, (size_t)(script.end - script.at));
	}
}

/* One control, or all that is said up to the next. False at the end of the script. The server's
 * code may be at work, and wait for this. */
static bool play_one(void)
{
	const bool was_inside = serve_system.is_inside;

	if (script.at == script.end)
		return false;
	serve_system.is_inside = false;
	if (*script.at == CONTROL && script.end - script.at >= 3 && script.at[1] != CONTROL) {
		const uint8_t letter = script.at[1], n = script.at[2];

		script.at += 3;
		play_control(letter, n);
	} else {
		const uint8_t *const from = script.at++;

		while (script.at < script.end && *script.at != CONTROL)
			script.at++;
		client_say(script.current, from, (size_t)(script.at - from));
		if (script.end - script.at >= 2 && script.at[1] == CONTROL)
			script.at++;
	}
	serve_system.is_inside = was_inside;
	return true;
}

/* Where the server may block, its clients go on meanwhile. Nobody waits for ever. */
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

/* Asked when a deadline has passed. */
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

/* The thread that the worker would have beside its loop. */
static void work(struct pfi_offload_pool *offload_pool)
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
	client->knocks = false;
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

	/* What the service does in `closed` may still count. */
	const int fd = dup(prefork_connection_fd(client->connection));
	prefork_connection_close(client->connection);
	demand(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0);
	(void)close(fd);
	client->was_broken = linger.l_onoff && linger.l_linger == 0;
	client->connection = NULL;
	client->next = PREFORK_CLOSE;
	demand(client->closings == 1);
	for (const struct answer *answer = client->answers; answer; answer = answer->next)
		demand(answer->has_finished);
	demand(client->in_at > 0 || client->out_end == 0);
	reader_check(client);
}

static void count_closing(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct client *const client = client_of(connection);

	client->closings++;
	pfi_http_table()->closed(worker, connection, user);
}

/* Nobody is waited for in vain, nor while there is something to be done. */
static void note_wait(struct client *client)
{
	const struct prefork_request *const request = prefork_connection_user(client->connection);
	const uint64_t late_ms = prefork_connection_deadline_ms(client->connection);

	demand(late_ms != 0);
	demand(request->phase != PFI_PHASE_IDLE || client->next == PREFORK_WAIT_WRITABLE || request->in_end == 0);
	if (late_ms != client->late_ms)
		client->out_by_late = client->out_end;
	client->late_ms = late_ms;
}

/* Who took nothing all the time gets nothing more of what is there for it. */
static enum prefork_next expire(struct client *client)
{
	if (prefork_connection_pending(client->connection) > 0 && client->out_end == client->out_by_late)
		client->out_max = client->out_end;
	return prefork_connection_expire(client->connection);
}

/* What the loops of the strategies do with the answer of a callback. */
static void follow(struct client *client, enum prefork_next next)
{
	const bool waits = next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;

	if (waits && atomic_load(&script.worker->directive) != PREFORK_CONTINUE)
		next = prefork_connection_drain(client->connection);
	client->next = next;
	if (next == PREFORK_CLOSE)
		close_client(client);
	else if (next != PREFORK_SUSPENDED && next != PREFORK_AGAIN)
		note_wait(client);
}

/* False: there is nothing to be done for it now. */
static bool serve_client(struct client *client)
{
	if (client->knocks)
		accept_client(client);
	if (!client->connection || client->next == PREFORK_SUSPENDED)
		return false;
	const uint64_t late_ms = prefork_connection_deadline_ms(client->connection);
	const bool is_late = late_ms > 0 && late_ms <= now_ms();

	if (client->next == PREFORK_AGAIN || client_is_ready(client, client->next))
		follow(client, prefork_connection_proceed(client->connection));
	else if (is_late)
		follow(client, expire(client));
	else
		return false;
	demand(script.steps++ < STEPS_MAX);
	return true;
}

static bool take_back(void)
{
	enum prefork_next next;
	struct prefork_connection *const connection = prefork_worker_take_resumed(script.worker, &next);

	if (connection)
		follow(client_of(connection), next);
	return connection != NULL;
}

/* All that can be done without time passing, or a client saying more. */
static void serve(void)
{
	bool is_busy;

	serve_system.is_inside = true;
	do {
		is_busy = false;
		for (size_t i = 0; i < CLIENTS && atomic_load(&script.worker->directive) != PREFORK_QUIT; i++)
			is_busy |= serve_client(&script.clients[i]);
		if (script.offload_pool.first && !script.holds) {
			work(&script.offload_pool);
			is_busy = true;
		}
		is_busy |= take_back();
	} while (is_busy);
	serve_system.is_inside = false;
	demand(score->thread_slots[0].deadline_ms == 0);
}

/* The worker was to leave: those that wait are asked once. */
static void ask_to_leave(void)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *const client = &script.clients[i];

		if (client->connection &&
		    (client->next == PREFORK_WAIT_READABLE || client->next == PREFORK_WAIT_WRITABLE))
			follow(client, prefork_connection_drain(client->connection));
	}
}

/* To the next deadline. False: nobody waits. */
static bool sleep_on(void)
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

/* A worker that quits closes what is there, once its threads are done. */
static void quit(void)
{
	serve_system.is_inside = true;
	while (script.offload_pool.first)
		work(&script.offload_pool);
	while (take_back())
		;
	for (size_t i = 0; i < CLIENTS; i++)
		if (script.clients[i].connection)
			close_client(&script.clients[i]);
	serve_system.is_inside = false;
}

static void play(void)
{
	bool has_asked = false;

	do {
		serve();
		if (!has_asked && atomic_load(&script.worker->directive) == PREFORK_DRAIN) {
			has_asked = true;
			ask_to_leave();
		}
	} while (atomic_load(&script.worker->directive) != PREFORK_QUIT && play_one());
	script.holds = false;
	if (atomic_load(&script.worker->directive) != PREFORK_QUIT) {
		serve();
		for (int i = 0; i < LAST_DEADLINES * CLIENTS && sleep_on(); i++)
			serve();
		demand(prefork_worker_connections(script.worker) == 0);
	}
	quit();
}

static void ignore_nudge(void *user)
{
	(void)user; /* take_back() looks anyway */
}

/* A worker as its life would find it, after its birth. */
static void be_worker(unsigned face, const struct prefork_settings *its)
{
	const struct prefork_strategy strategy = { .struct_size = sizeof strategy, .name = "script", .traits = faces[face] };
	struct pfi_http *const http = pfi_http_create(&serve_host, NULL);
	const struct pfi_spawn_context context = {
		.program = "fuzz", .pool = "web", .settings = its, .log = log_, .strategy = &strategy, .user = http,
		.score = score, .thread_slots = THREADS + 1, .channel = -1, .arbiter_pidfd = -1, .watchdog = watchdog,
	};
	struct prefork_worker worker = { .context = &context, .strategy = strategy, .service = *pfi_http_table(),
		                         .fd = -1, .wake_fd = -1, .quit_fd = -1, .wake = ignore_nudge };

	worker.service.closed = count_closing;
	script.worker = &worker;
	serve_system.is_ours = true;
	demand(http != NULL && pfi_thread_status_open(&worker) == 0);
	if (face == 2) {
		worker.offload_pool = &script.offload_pool;
		script.offload_pool.last = &script.offload_pool.first;
	}
	demand(worker.service.worker_start(&worker, http) == 0);
	play();
	worker.service.worker_stop(&worker, http);
	pfi_thread_status_close(&worker);
	pfi_connection_pool_finish(&worker);
	serve_system.is_ours = false;
	pfi_http_destroy(http);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	host_init();
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

/* Of those that the next ones will be among. */
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
	host_reset();
	client_open(script.current, size);
	be_worker(data[0] % 3, settings[data[1] % VARIANTS]);
	for (size_t i = 0; i < CLIENTS; i++)
		client_clear(&script.clients[i]);
	demand(count_fds(first_fd) == fds_before);
	return 0;
}
