/* Compares a virtualenv's Python with the interpreter in this program: version and build. */
#include "python.h"

#include "build.h"
#include "wsgi_clock.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VERSION_TIMEOUT_MS = 5000, VERSION_MAX = 512 };

static struct stat verified; /* the last interpreter whose version was read; a reload runs it again only if the file changed */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_mtime == b->st_mtime;
}

/* Read `fd` until end of file. Returns 0, -ETIMEDOUT or another negative errno. */
static int read_all(int fd, char *text, size_t size)
{
	const int64_t deadline = wsgi_now_ms() + VERSION_TIMEOUT_MS;
	size_t length = 0;

	for (;;) {
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		const int64_t left = deadline - wsgi_now_ms();
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&readable, 1, (int)left) <= 0)
			continue;
		n = read(fd, text + length, size - 1 - length);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 || length == size - 1)
			break;
		length += n > 0 ? (size_t)n : 0;
	}
	text[length] = '\0';
	return 0;
}

/* The child would inherit the arbiter's blocked and ignored signals. */
static int set_signals(posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(attributes, &none);
	(void)posix_spawnattr_setsigdefault(attributes, &all);
	return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int start(const char *python, int output, pid_t *ret)
{
	char *const words[] = { (char *)(uintptr_t)python, (char *)(uintptr_t)"-ISc",
		                (char *)(uintptr_t)"import sys; print(sys.version)", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r = posix_spawn_file_actions_init(&actions);

	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r == 0) {
		r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&actions, output, 1);
		if (r == 0)
			r = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
		if (r == 0)
			r = set_signals(&attributes);
		if (r == 0)
			r = posix_spawn(ret, python, &actions, &attributes, words, environ);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* sys.version of the interpreter: "3.11.2 (main, Apr 28 2025, 14:11:48) [GCC 12.2.0]". */
static int read_version(const char *python, char *version, size_t size)
{
	int ends[2], status = 0;
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	r = start(python, ends[1], &pid);
	(void)close(ends[1]);
	if (r == 0) {
		r = read_all(ends[0], version, size);
		if (r < 0)
			(void)kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (r == 0 && status != 0)
			r = -ENOEXEC;
	}
	(void)close(ends[0]);
	return r;
}

static void cut_line(char *text)
{
	text[strcspn(text, "\n")] = '\0';
}

int wsgi_build_check(const char *python, const char *venv, const char *source)
{
	char version[VERSION_MAX], own[VERSION_MAX], base[PATH_MAX];
	struct stat theirs, ours;
	int r;

	if (stat(python, &theirs) < 0)
		return prefork_fail(PREFORK_ECONFIG, "%s: %s: %s", source, python, strerror(errno));
	if (is_same_file(&theirs, &verified) || (stat(WSGI_PYTHON, &ours) == 0 && is_same_file(&theirs, &ours)))
		return 0;
	r = read_version(python, version, sizeof version);
	if (r < 0)
		return prefork_fail(PREFORK_ECONFIG, "%s: cannot read the version of %s: %s: create the virtualenv %s again",
		                    source, python, r == -ENOEXEC ? "it exits with an error" : strerror(-r), venv);
	cut_line(version);
	(void)snprintf(own, sizeof own, "%s", Py_GetVersion());
	cut_line(own);
	if (strcmp(version, own) == 0) {
		verified = theirs;
		return 0;
	}
	return prefork_fail(PREFORK_ECONFIG,
	                    "%s: the virtualenv %s belongs to another build of Python, %s, which is %s; prefork-wsgi is "
	                    "built with %s, which is %s: create the virtualenv again with %s -m venv %s, or build "
	                    "prefork-wsgi with the other Python",
	                    source, venv, realpath(python, base) ? base : python, version, WSGI_PYTHON, own,
	                    WSGI_PYTHON, venv);
}
