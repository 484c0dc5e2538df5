/* The pool of --reload: watches directories with inotify(7), and sends SIGHUP to the arbiter when a source file has
 * changed. */
#include "reloader.h"
#include "wsgi_log.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>
#include <prefork/worker.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
	DIRECTORIES_MAX = 4096,
	DEPTH_MAX = 24,
	QUIET_MS = 100, /* editors and checkouts write several files: wait until none changes */
	CHANGES = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE,
};

struct reloader {
	struct prefork_worker *worker;
	int fd;
	char *directories[DIRECTORIES_MAX]; /* indexed by watch descriptor; inotify(7) counts from 1 */
	char changed[PATH_MAX]; /* "": no change since the last reload */
};

static int add_directory(struct reloader *self, const char *path)
{
	const int watch = inotify_add_watch(self->fd, path, CHANGES | IN_ONLYDIR | IN_EXCL_UNLINK);

	if (watch < 0)
		return prefork_fail(-errno, "--reload: cannot watch %s: %s", path, strerror(errno));
	if (watch >= DIRECTORIES_MAX)
		return prefork_fail(-E2BIG, "--reload: more than %d directories below those of the application",
		                    DIRECTORIES_MAX);
	free(self->directories[watch]);
	self->directories[watch] = strdup(path);
	return self->directories[watch] ? 0 : prefork_fail(-ENOMEM, "--reload: no memory");
}

/* Directories without code of the application: caches, packages, virtualenvs. */
static bool is_skipped(const char *directory, const char *name)
{
	char mark[PATH_MAX];

	if (*name == '.' || strcmp(name, "__pycache__") == 0 || strcmp(name, "node_modules") == 0)
		return true;
	return snprintf(mark, sizeof mark, "%s/%s/pyvenv.cfg", directory, name) >= (int)sizeof mark ||
	       access(mark, F_OK) == 0;
}

/* Directories that vanish meanwhile or are unreadable contain nothing to import: not an error. */
static int add_tree(struct reloader *self, const char *path, int depth)
{
	DIR *const directory = depth < DEPTH_MAX ? opendir(path) : NULL;
	const struct dirent *entry;
	char below[PATH_MAX];
	int r = directory ? add_directory(self, path) : 0;

	while (directory && r == 0 && (entry = readdir(directory)) != NULL) {
		if (entry->d_type == DT_DIR && !is_skipped(path, entry->d_name) &&
		    snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < (int)sizeof below)
			r = add_tree(self, below, depth + 1);
	}
	if (directory)
		(void)closedir(directory);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* The directories in the setting `name`, or those of its files; relative to --chdir. */
static int add_items(struct reloader *self, const char *name, bool are_files)
{
	const struct prefork_settings *settings = prefork_worker_settings(self->worker);
	const char *item;
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && (item = prefork_settings_item(settings, name, i)); i++) {
		if (realpath(item, path) == NULL)
			r = prefork_fail(-errno, "--%s: %s: %s", are_files ? "reload-extra-file" : name, item,
			                 strerror(errno));
		else if (are_files && strrchr(path, '/') != path)
			*strrchr(path, '/') = '\0';
		if (r == 0)
			r = are_files ? add_directory(self, path) : add_tree(self, path, 0);
	}
	return r;
}

static int add_all(struct reloader *self)
{
	const char *directory = prefork_settings_text(prefork_worker_settings(self->worker), "chdir");
	char here[PATH_MAX];
	int r;

	self->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (self->fd < 0)
		return prefork_fail(-errno, "--reload: inotify_init1: %s", strerror(errno));
	if ((directory && chdir(directory) < 0) || getcwd(here, sizeof here) == NULL)
		return prefork_fail(-errno, "--chdir: %s: %s", directory ? directory : ".", strerror(errno));
	r = add_tree(self, here, 0);
	if (r == 0)
		r = add_items(self, "pythonpath", false);
	return r == 0 ? add_items(self, "reload_extra_files", true) : r;
}

static bool is_extra(const struct reloader *self, const char *path)
{
	const char *item;
	char extra[PATH_MAX];

	for (size_t i = 0; (item = prefork_settings_item(prefork_worker_settings(self->worker), "reload_extra_files", i)); i++) {
		if (realpath(item, extra) && strcmp(extra, path) == 0)
			return true;
	}
	return false;
}

static bool is_code(const char *name)
{
	const size_t length = strlen(name);

	return length > 3 && *name != '.' && strcmp(name + length - 3, ".py") == 0;
}

static void on_event(struct reloader *self, const struct inotify_event *event)
{
	const char *directory = event->wd > 0 && event->wd < DIRECTORIES_MAX ? self->directories[event->wd] : NULL;
	char path[PATH_MAX];

	if (event->mask & IN_Q_OVERFLOW)
		(void)snprintf(self->changed, sizeof self->changed, "unknown files (inotify queue overflow)");
	if (directory == NULL || event->len == 0 ||
	    snprintf(path, sizeof path, "%s/%s", directory, event->name) >= (int)sizeof path)
		return;
	if ((event->mask & IN_ISDIR) && (event->mask & (IN_CREATE | IN_MOVED_TO)) && !is_skipped(directory, event->name))
		(void)add_tree(self, path, 0);
	if (!(event->mask & (IN_ISDIR | IN_CREATE)) && (is_code(event->name) || is_extra(self, path)))
		memcpy(self->changed, path, sizeof path);
}

static void take_events(struct reloader *self)
{
	_Alignas(struct inotify_event) char bytes[16384];
	ssize_t n;

	while ((n = read(self->fd, bytes, sizeof bytes)) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(bytes + at);

			on_event(self, event);
			at += (ssize_t)(sizeof *event + event->len);
		}
	}
}

static void request_reload(struct reloader *self, pid_t arbiter)
{
	wsgi_log(PREFORK_LOG_INFO, "code_changed", "Worker reloading: %s modified", self->changed);
	*self->changed = '\0';
	if (getppid() == arbiter)
		(void)kill(arbiter, SIGHUP);
}

/* After a drain request the next reloader has its own watches, and misses edits before them: request a reload for
 * those here. */
static void watch(struct reloader *self)
{
	const pid_t arbiter = getppid();

	while (prefork_worker_check(self->worker) == PREFORK_CONTINUE) {
		struct pollfd fds[] = { { .fd = prefork_worker_fd(self->worker), .events = POLLIN },
			                { .fd = self->fd, .events = POLLIN } };
		const int ready = poll(fds, 2, *self->changed ? QUIET_MS : -1);

		if (ready == 0)
			request_reload(self, arbiter);
		else if (fds[1].revents)
			take_events(self);
	}
	if (*self->changed)
		request_reload(self, arbiter);
}

static int run(struct prefork_worker *worker, void *user)
{
	static struct reloader self; /* static since it is large; one per process */
	int r;

	(void)user;
	self.worker = worker;
	wsgi_log_prepare(prefork_worker_log(worker), prefork_worker_pool(worker), prefork_worker_slot(worker));
	r = add_all(&self);
	if (r == 0) {
		prefork_worker_ready(worker);
		watch(&self);
	}
	for (size_t i = 0; i < DIRECTORIES_MAX; i++)
		free(self.directories[i]);
	if (self.fd >= 0)
		(void)close(self.fd);
	return r < 0 ? r : PREFORK_EXIT_RECYCLE;
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy,
	.name = "reloader",
	.traits = PREFORK_STRATEGY_NO_SERVICE | PREFORK_STRATEGY_REPORTS_READY,
	.run = run,
};

int wsgi_reloader_add(struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	struct prefork_pool *pool = NULL;
	int r;

	if (prefork_settings_int(settings, "reload") != 1)
		return 0;
	r = prefork_arbiter_add_pool(arbiter, "reload", &strategy, NULL, NULL, &pool);
	if (r == 0)
		r = prefork_pool_set(pool, "workers", "1");
	return r == 0 ? prefork_pool_set(pool, "workers_max", "1") : r;
}
