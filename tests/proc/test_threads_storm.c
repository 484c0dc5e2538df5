/* The strategy threads under random load; for ThreadSanitizer, too. */
#include "../support.h"

#include "thread_stage.h"

#include "model/message.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct prefork_worker worker_t;
typedef struct prefork_connection connection_t;

/* A callback that suspends its connection writes it here, and a thread of the service resumes it. */
static int suspended[2];

static void *resume_all(void *nothing)
{
	connection_t *connection;

	(void)nothing;
	while (read(suspended[0], &connection, sizeof connection) == (ssize_t)sizeof connection)
		prefork_connection_resume(connection, thread_stage_echo(prefork_connection_worker(connection), connection, NULL));
	return NULL;
}

static int start_resumer(worker_t *worker, void *user)
{
	pthread_t resumer;

	(void)worker;
	(void)user;
	if (pipe2(suspended, O_CLOEXEC) < 0 || pthread_create(&resumer, NULL, resume_all, NULL) != 0)
		return -EAGAIN;
	(void)pthread_detach(resumer);
	return 0;
}

/* The first letter selects: suspend, slow, or plain. */
static enum prefork_next anything(worker_t *worker, connection_t *connection, void *user)
{
	char letter;
	const ssize_t n = recv(prefork_connection_fd(connection), &letter, 1, MSG_PEEK);

	prefork_connection_set_deadline(connection, 20);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	switch (letter) {
	case 't':
		return write(suspended[1], &connection, sizeof connection) == (ssize_t)sizeof connection ? PREFORK_SUSPENDED :
		                                                                                      PREFORK_CLOSE;
	case 's':
		(void)poll(NULL, 0, 2);
		break;
	default:
		break;
	}
	return thread_stage_echo(worker, connection, user);
}

/* A process that sends random requests until it is refused; its exit code is 1 if a response was wrong. A connection may
 * end, because of a deadline or because the worker drains. */
static void be_client(unsigned seed)
{
	static const char *const words[] = { "quick", "take", "slow", "dear", "" };
	struct sockaddr_in address;
	socklen_t size = sizeof address;
	char bytes[8];

	if (getsockname(stage->harness.listener->fd, (struct sockaddr *)&address, &size) < 0)
		_exit(3);
	(void)close(stage->harness.listener->fd);
	for (;;) {
		const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&address, size) < 0)
			_exit(0);
		for (unsigned i = 0; i < 1 + seed % 4; i++) {
			const char *const word = words[(seed = seed * 1103515245 + 12345) / 65536 % 5];
			const size_t length = strlen(word);

			if (send(fd, word, length, MSG_NOSIGNAL) != (ssize_t)length)
				break;
			if (length == 0 && seed % 2)
				(void)poll(NULL, 0, 25); /* longer than the deadline */
			const ssize_t n = recv(fd, bytes, length, MSG_WAITALL);
			if (n > 0 && memcmp(bytes, word, (size_t)n) != 0)
				_exit(1);
			if (n != (ssize_t)length)
				break;
		}
		(void)close(fd);
	}
}

/* The limit applies to the pause between two requests, since all of them may take long on a busy machine. */
static void await_requests(uint64_t least)
{
	uint64_t seen = 0, until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	for (uint64_t now; (now = harness_requests(&stage->harness)) < least; seen = now) {
		if (now > seen)
			until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
		ck_assert_msg(pfi_now_ms() < until_ms, "no request after %llu", (unsigned long long)now);
		(void)poll(NULL, 0, 5);
	}
}

/* All at once, for the sanitizer, too; and the worker drains meanwhile. */
START_TEST(a_drain_under_random_load_loses_no_response)
{
	enum { CLIENTS = 12 };
	const struct prefork_service service = {
		.struct_size = sizeof service, .worker_start = start_resumer, .ready = anything,
	};
	pid_t clients[CLIENTS];

	thread_stage_open(&service);
	harness_spawn(&stage->harness);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = fork();
		ck_assert_int_ge(clients[i], 0);
		if (clients[i] == 0)
			be_client(i * 7919 + 1);
	}
	await_requests(3000);
	harness_send(&stage->harness, PFI_MESSAGE_DRAIN, 0);
	const struct pfi_exit_status exit_status = harness_reap(&stage->harness);
	ck_assert_int_eq(exit_status.signo, 0);
	ck_assert_int_eq(exit_status.code, PREFORK_EXIT_RECYCLE);
	ck_assert_int_eq(shutdown(stage->harness.listener->fd, SHUT_RDWR), 0); /* connections are refused from now on */
	for (unsigned i = 0; i < CLIENTS; i++) {
		int status;

		ck_assert_int_eq(waitpid(clients[i], &status, 0), clients[i]);
		ck_assert_int_eq(status, 0);
	}
	thread_stage_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads storm");
	TCase *tc = new_case(suite, "threads storm");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_drain_under_random_load_loses_no_response);

	return run_suite(suite);
}
