#include "asleep.h"

#include "../support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

static void add_threads(struct asleep *asleep, pid_t pid)
{
	char path[64];
	DIR *tasks;

	(void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	ck_assert_ptr_nonnull(tasks);
	for (const struct dirent *entry; (entry = readdir(tasks));) {
		if (entry->d_name[0] == '.')
			continue;
		ck_assert_uint_lt(asleep->count, ASLEEP_MAX);
		(void)snprintf(path, sizeof path, "/proc/%d/task/%.16s/stat", (int)pid, entry->d_name);
		asleep->fds[asleep->count] = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(asleep->fds[asleep->count++], 0);
	}
	(void)closedir(tasks);
}

void asleep_open(struct asleep *asleep, const pid_t *pids, size_t count)
{
	asleep->count = 0;
	for (size_t i = 0; i < count; i++)
		add_threads(asleep, pids[i]);
}

void asleep_close(struct asleep *asleep)
{
	while (asleep->count > 0)
		(void)close(asleep->fds[--asleep->count]);
}

/* "4711 (name) S 1 ...": the name may have parentheses of its own, and is 15 bytes at most. */
static bool sleeps(int fd)
{
	char text[64];
	const ssize_t size = pread(fd, text, sizeof text - 1, 0);
	const char *state;

	ck_assert_int_gt(size, 0);
	text[size] = '\0';
	state = strrchr(text, ')');
	ck_assert_ptr_nonnull(state);
	return strncmp(state, ") S ", 4) == 0;
}

void asleep_wait(const struct asleep *asleep)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(20000);

	for (size_t i = 0; i < asleep->count;) {
		if (sleeps(asleep->fds[i])) {
			i++;
			continue;
		}
		ck_assert_uint_lt(pfi_now_ms(), end_ms);
		(void)sched_yield();
		i = 0; /* this thread may have woken one that was checked before */
	}
}
