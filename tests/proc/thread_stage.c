#include "thread_stage.h"

#include "../support.h"

#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct thread_stage *stage;

void thread_stage_open(const struct prefork_service *service)
{
	stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stage, MAP_FAILED);
	ck_assert_int_eq(pipe2(stage->release, O_CLOEXEC), 0);
	harness_open(&stage->harness, service);
}

void thread_stage_close(void)
{
	(void)close(stage->release[0]);
	(void)close(stage->release[1]);
	stage->harness.fds_before -= 2;
	harness_close(&stage->harness);
	(void)munmap(stage, sizeof *stage);
}

void thread_stage_wait(_Atomic int *count, int wanted)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (atomic_load(count) < wanted && pfi_now_ms() < until_ms)
		(void)poll(NULL, 0, 1);
	ck_assert_int_ge(atomic_load(count), wanted);
}

enum prefork_next thread_stage_echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[4096], byte;
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	if (bytes[0] == 'w') {
		atomic_fetch_add(&stage->entered, 1);
		(void)!read(stage->release[0], &byte, 1);
	}
	prefork_worker_count_request(worker);
	return prefork_connection_write(connection, bytes, (size_t)n);
}

const struct prefork_service wait_service = { .struct_size = sizeof wait_service, .ready = thread_stage_echo };

void thread_stage_send(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void thread_stage_expect(int fd, const char *text)
{
	char bytes[256];
	const size_t size = strlen(text);

	ck_assert_int_eq(recv(fd, bytes, size, MSG_WAITALL), (ssize_t)size);
	ck_assert_mem_eq(bytes, text, size);
}
