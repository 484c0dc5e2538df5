/*
 * pace PORT RATE SECONDS KEEP: constant load on 127.0.0.1, and the outcome of every request.
 *
 * RATE requests per second begin on time, whether or not earlier ones are complete: every second one on
 * a new connection, the others on one of up to KEEP connections that are kept alive. A latency counts from
 * the moment the request was due. Prints one line of JSON: how many there were of each outcome, and the
 * latencies in microseconds. A persistent connection that the server closes while it is idle is normal; one that
 * is closed after a request was written and before a byte of the response has arrived is "found_closed": HTTP lets a
 * client repeat that request, so it does not count as failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 4096, PATIENCE_S = 10, BYTES = 8192 };

enum outcome { OK, REFUSED, RESET, SHORT, STATUS, FOUND_CLOSED, TIMEOUT, NO_SLOT, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {
	[OK] = "ok", [REFUSED] = "refused", [RESET] = "reset", [SHORT] = "short", [STATUS] = "status",
	[FOUND_CLOSED] = "found_closed", [TIMEOUT] = "timeout", [NO_SLOT] = "no_slot",
};

enum state { FREE, CONNECTING, WAITING, RESTING };

struct slot {
	enum state state;
	int fd, keep, used; /* persistent; a response has arrived before */
	double due;
	size_t have;
	char bytes[BYTES];
};

static struct slot slots[SLOTS];
static unsigned long counts[OUTCOMES];
static uint32_t *latencies_us;
static size_t latencies, latencies_max;
static int epoll, kept;
static struct sockaddr_in server;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void release(struct slot *slot)
{
	if (slot->keep)
		kept--;
	close(slot->fd);
	slot->state = FREE;
}

static void finish(struct slot *slot, enum outcome outcome)
{
	counts[outcome]++;
	if (outcome == OK && latencies < latencies_max)
		latencies_us[latencies++] = (uint32_t)((now() - slot->due) * 1e6);
}

static void fail(struct slot *slot, enum outcome outcome)
{
	finish(slot, outcome);
	release(slot);
}

static void watch(struct slot *slot, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = slot};

	if (epoll_ctl(epoll, operation, slot->fd, &event) < 0) {
		perror("epoll_ctl");
		exit(1);
	}
}

static void send_request(struct slot *slot)
{
	static const char keep[] = "GET / HTTP/1.1\r\nHost: pace\r\n\r\n";
	static const char once[] = "GET / HTTP/1.1\r\nHost: pace\r\nConnection: close\r\n\r\n";
	const char *text = slot->keep ? keep : once;

	slot->have = 0;
	slot->state = WAITING;
	if (send(slot->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		fail(slot, slot->used ? FOUND_CLOSED : RESET);
}

static struct slot *find(enum state state)
{
	static size_t next;

	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &slots[(next + i) % SLOTS];

		if (slot->state == state) {
			next = (size_t)(slot - slots) + 1;
			return slot;
		}
	}
	return NULL;
}

static void begin(double due, int keep, int keep_max)
{
	struct slot *slot = keep ? find(RESTING) : NULL;

	if (slot) {
		slot->due = due;
		send_request(slot);
		return;
	}
	if (!(slot = find(FREE))) {
		counts[NO_SLOT]++;
		return;
	}
	const int one = 1;
	slot->due = due;
	slot->used = 0;
	slot->keep = keep && kept < keep_max;
	kept += slot->keep;
	slot->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (slot->fd < 0) {
		perror("socket");
		exit(1);
	}
	setsockopt(slot->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	slot->state = CONNECTING;
	if (connect(slot->fd, (const struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
		fail(slot, errno == ECONNREFUSED ? REFUSED : RESET);
	else
		watch(slot, EPOLL_CTL_ADD, EPOLLOUT);
}

static void connected(struct slot *slot)
{
	int error = 0;
	socklen_t size = sizeof error;

	getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		fail(slot, error == ECONNREFUSED ? REFUSED : RESET);
		return;
	}
	watch(slot, EPOLL_CTL_MOD, EPOLLIN);
	send_request(slot);
}

/* The size of the whole response when its head is complete, 0 before, SIZE_MAX if the body ends with the connection. */
static size_t whole(struct slot *slot)
{
	slot->bytes[slot->have] = 0;
	const char *end = strstr(slot->bytes, "\r\n\r\n");

	if (!end)
		return 0;
	const char *length = strcasestr(slot->bytes, "\r\ncontent-length:");
	if (!length || length > end)
		return SIZE_MAX;
	return (size_t)(end + 4 - slot->bytes) + strtoul(length + 17, NULL, 10);
}

static void complete(struct slot *slot)
{
	const int good = !strncmp(slot->bytes, "HTTP/1.1 200", 12) || !strncmp(slot->bytes, "HTTP/1.0 200", 12);
	const char *closes = strcasestr(slot->bytes, "connection: close");

	finish(slot, good ? OK : STATUS);
	slot->used = 1;
	if (!slot->keep || closes || !strncmp(slot->bytes, "HTTP/1.0", 8))
		release(slot);
	else
		slot->state = RESTING;
}

static void readable(struct slot *slot)
{
	const ssize_t n = recv(slot->fd, slot->bytes + slot->have, BYTES - 1 - slot->have, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (slot->state == RESTING) {
		release(slot); /* the server may do that */
		return;
	}
	if (n <= 0) {
		if (n == 0 && slot->have && whole(slot) == SIZE_MAX)
			complete(slot);
		else if (!slot->have && slot->used)
			fail(slot, FOUND_CLOSED);
		else
			fail(slot, n < 0 ? RESET : SHORT);
		return;
	}
	slot->have += (size_t)n;
	const size_t size = whole(slot);
	if (size && slot->have >= size)
		complete(slot);
	else if (slot->have == BYTES - 1)
		fail(slot, STATUS);
}

static void turn(double until)
{
	struct epoll_event events[256];
	double wait = until - now();
	struct timespec t = {0};

	if (wait > 0)
		t.tv_nsec = (long)(wait * 1e9) % 1000000000L, t.tv_sec = (time_t)wait;
	const int n = epoll_pwait2(epoll, events, 256, &t, NULL);
	for (int i = 0; i < n; i++) {
		struct slot *slot = events[i].data.ptr;

		if (slot->state == CONNECTING)
			connected(slot);
		else if (slot->state != FREE)
			readable(slot);
	}
}

static int under_way(double oldest)
{
	int found = 0;

	for (size_t i = 0; i < SLOTS; i++)
		if (slots[i].state == CONNECTING || slots[i].state == WAITING) {
			if (slots[i].due < oldest)
				fail(&slots[i], TIMEOUT);
			else
				found++;
		}
	return found;
}

static int by_size(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static unsigned at(double part)
{
	return latencies ? latencies_us[(size_t)(part * (double)(latencies - 1))] : 0;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: pace PORT RATE SECONDS KEEP\n");
		return 2;
	}
	const double rate = atof(argv[2]), seconds = atof(argv[3]);
	const int keep_max = atoi(argv[4]);
	const size_t total = (size_t)(rate * seconds);

	server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	latencies_max = total;
	latencies_us = calloc(total + 1, sizeof *latencies_us);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!latencies_us || epoll < 0) {
		perror("pace");
		return 1;
	}
	const double start = now();
	for (size_t i = 0; i < total; i++) {
		const double due = start + (double)i / rate;

		while (now() < due)
			turn(due);
		begin(due, keep_max > 0 && i % 2, keep_max);
		if (i % 1000 == 999)
			under_way(due - PATIENCE_S);
		turn(now());
	}
	while (under_way(now() - PATIENCE_S))
		turn(now() + 0.01);

	qsort(latencies_us, latencies, sizeof *latencies_us, by_size);
	printf("{\"requests\": %zu", total);
	for (int i = 0; i < OUTCOMES; i++)
		printf(", \"%s\": %lu", outcome_names[i], counts[i]);
	printf(", \"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u, \"max_us\": %u}\n", at(0.5), at(0.99), at(0.999),
	       at(1));
	return 0;
}
