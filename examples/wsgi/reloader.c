/* The pool of --reload: scans the files, when inotify(7) reports a change or each second, and sends SIGHUP to the arbiter
 * when one has changed. */
#include "reloader.h"
#include "reload_files.h"
#include "reload_pace.h"
#include "wsgi_clock.h"
#include "wsgi_log.h"
#include "wsgi_options.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>
#include <prefork/worker.h>

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
#include <time.h>
#include <unistd.h>

enum {
	PLACES_MAX = 600, /* above the maxima of the settings together */
	DIRECTORIES_MAX = 4096,
	CHANGES = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF,
	OF_DIRECTORY = IN_ISDIR | IN_DELETE_SELF | IN_MOVE_SELF | IN_Q_OVERFLOW,
};

struct reloader {
	struct prefork_worker *worker;
	char *trees[PLACES_MAX]; /* the first is the working directory of the application */
	struct wsgi_reload_item items[PLACES_MAX];
	char *paste; /* the file of --paste, or NULL */
	struct wsgi_reload_places places;
	struct wsgi_reload_scan *last;
	int fd;           /* of inotify(7); -1: poll                                          */
	int newest_watch; /* inotify(7) counts from 1                                         */
	int64_t due_ms;   /* the time of the next scan; 0: when inotify reports something     */
	int64_t scan_ms;  /* how long the last scan took */
	bool has_reported_limit;
	char changed[PATH_MAX]; /* "": no change since the last reload */
	int64_t changed_ms;     /* when the first such change was found */
};

/* In the arbiter, until the first reloader is forked: when the server was started, in the time of file systems. */
static struct timespec started;

/* --- what to watch --- */

/* A relative path is below `base`. NULL: no memory. */
static char *absolute(const char *base, const char *path)
{
	char *text = NULL;

	while (strncmp(path, "./", 2) == 0)
		path += 2 + strspn(path + 2, "/");
	if (strcmp(path, ".") == 0)
		path = "";
	if (*path == '/')
		return strdup(path);
	return asprintf(&text, "%s%s%s", base, *path ? "/" : "", path) < 0 ? NULL : text;
}

static int too_many(void)
{
	return prefork_fail(-E2BIG, "--reload: more than %d places to watch", PLACES_MAX);
}

static int add_tree(struct reloader *self, const char *base, const char *path)
{
	size_t *const count = &self->places.tree_count;

	if (*count == PLACES_MAX)
		return too_many();
	self->trees[*count] = absolute(base, path);
	return self->trees[*count] ? (++*count, 0) : prefork_fail(-ENOMEM, "--reload: no memory");
}

static int add_item(struct reloader *self, const char *base, const char *pattern)
{
	if (self->places.item_count == PLACES_MAX)
		return too_many();
	self->items[self->places.item_count++] = (struct wsgi_reload_item){ base, pattern };
	return 0;
}

/* A file that a setting names in vain is probably misspelt, but may be created later. */
static void warn_about_missing(const struct wsgi_reload_item *item)
{
	char *const path = wsgi_reload_is_pattern(item->pattern) ? NULL : absolute(item->base, item->pattern);

	if (path && access(path, F_OK) < 0)
		wsgi_log(PREFORK_LOG_WARNING, "reload_file_missing", "--reload-extra-file: %s does not exist yet", path);
	free(path);
}

/* Only what the setting says is a pattern, and not the working directory that it is below. */
static int add_extra_file(struct reloader *self, const char *pattern)
{
	int r;

	while (strncmp(pattern, "./", 2) == 0)
		pattern += 2 + strspn(pattern + 2, "/");
	r = add_item(self, *pattern == '/' ? "/" : self->trees[0], pattern);
	if (r == 0)
		warn_about_missing(&self->items[self->places.item_count - 1]);
	return r;
}

/* The file of --paste, without the name of a section. */
static int add_paste(struct reloader *self, const struct prefork_settings *settings)
{
	const char *const paste = prefork_settings_text(settings, "paste");
	char *file;

	if (!wsgi_options_is_set(settings, "paste"))
		return 0;
	file = strndup(paste, strcspn(paste, "#"));
	self->paste = file ? absolute(wsgi_options_directory(settings), file) : NULL;
	free(file);
	return self->paste ? add_item(self, self->paste, "") : prefork_fail(-ENOMEM, "--reload: no memory");
}

static int find_places(struct reloader *self, const struct prefork_settings *settings)
{
	const char *const directory = prefork_settings_text(settings, "chdir");
	char here[PATH_MAX];
	const char *text;
	int r;

	if (getcwd(here, sizeof here) == NULL)
		return prefork_fail(-errno, "--reload: the working directory: %s", strerror(errno));
	r = add_tree(self, here, directory ? directory : ".");
	for (size_t i = 0; r == 0 && (text = prefork_settings_item(settings, "pythonpath", i)); i++)
		r = add_tree(self, self->trees[0], text);
	for (size_t i = 0; r == 0 && (text = prefork_settings_item(settings, "reload_extra_files", i)); i++)
		r = add_extra_file(self, text);
	self->places.trees = (const char *const *)self->trees;
	self->places.items = self->items;
	self->places.directories_max = DIRECTORIES_MAX;
	return r == 0 ? add_paste(self, settings) : r;
}

/* --- inotify --- */

static void use_poll(struct reloader *self, const char *function, int error)
{
	wsgi_log(PREFORK_LOG_WARNING, "reload_polls", "--reload checks all files each second, since inotify is not available: %s: %s%s",
	         function, strerror(error),
	         error == ENOSPC ? " (fs.inotify.max_user_watches)" : error == EMFILE ? " (fs.inotify.max_user_instances)" : "");
	if (self->fd >= 0)
		(void)close(self->fd);
	self->fd = -1;
}

static void open_inotify(struct reloader *self)
{
	self->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (self->fd < 0)
		use_poll(self, "inotify_init1", errno);
}

/* Watch the directories of the last scan. What happens in a new one before it is watched, the next scan finds. Directories
 * that have vanished meanwhile are no error; their parents are watched. */
static void watch_directories(struct reloader *self)
{
	const char *path;

	for (size_t i = 0; self->fd >= 0 && (path = wsgi_reload_scan_directory(self->last, i)); i++) {
		const int watch = inotify_add_watch(self->fd, path, CHANGES | IN_ONLYDIR | IN_EXCL_UNLINK);

		if (watch < 0 && (errno == ENOSPC || errno == ENOMEM)) {
			use_poll(self, "inotify_add_watch", errno);
		} else if (watch > self->newest_watch) {
			self->newest_watch = watch;
			self->due_ms = wsgi_now_ms() + wsgi_reload_quiet_ms(self->scan_ms);
		}
	}
}

static bool is_of_interest(const struct reloader *self, const struct inotify_event *event)
{
	if (event->mask & OF_DIRECTORY)
		return true;
	return event->len > 0 && wsgi_reload_scan_concerns(self->last, event->name);
}

static void take_events(struct reloader *self)
{
	_Alignas(struct inotify_event) char bytes[16384];
	ssize_t n;

	while ((n = read(self->fd, bytes, sizeof bytes)) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(bytes + at);

			if (self->due_ms == 0 && is_of_interest(self, event))
				self->due_ms = wsgi_now_ms() + wsgi_reload_quiet_ms(self->scan_ms);
			at += (ssize_t)(sizeof *event + event->len);
		}
	}
}

/* --- scans --- */

static void request_reload(struct reloader *self, pid_t arbiter)
{
	wsgi_log(PREFORK_LOG_INFO, "code_changed", "Worker reloading: %s modified", self->changed);
	*self->changed = '\0';
	if (getppid() == arbiter && kill(arbiter, SIGHUP) < 0)
		wsgi_log(PREFORK_LOG_ERROR, "reload_request_failed", "SIGHUP cannot be sent to the arbiter: %s", strerror(errno));
}

static int create_scan(struct reloader *self, struct wsgi_reload_scan **ret)
{
	const int64_t begin = wsgi_now_ms();
	const int r = wsgi_reload_scan_create(&self->places, ret);

	self->scan_ms = wsgi_now_ms() - begin;
	if (r == 0 && wsgi_reload_scan_is_limited(*ret) && !self->has_reported_limit) {
		self->has_reported_limit = true;
		wsgi_log(PREFORK_LOG_WARNING, "reload_limit",
		         "--reload watches %d directories and leaves out others: a link, --pythonpath or ** leads to too many",
		         DIRECTORIES_MAX);
	}
	return r;
}

static void note_change(struct reloader *self, const char *path)
{
	if (*self->changed == '\0')
		self->changed_ms = wsgi_now_ms();
	(void)snprintf(self->changed, sizeof self->changed, "%s", path);
}

/* 1: a file has changed since the last scan. Without memory, the next scan finds it. */
static int scan(struct reloader *self)
{
	struct wsgi_reload_scan *now;
	const char *path;
	int r = 0;

	if (create_scan(self, &now) < 0)
		return 0;
	path = wsgi_reload_scan_difference(self->last, now);
	if (path) {
		note_change(self, path);
		r = 1;
	}
	wsgi_reload_scan_destroy(self->last);
	self->last = now;
	return r;
}

static void scan_when_due(struct reloader *self, pid_t arbiter)
{
	const bool is_equal = scan(self) == 0;
	const struct wsgi_reload_scanned scanned = {
		.now_ms = wsgi_now_ms(), .scan_ms = self->scan_ms, .changed_ms = *self->changed ? self->changed_ms : 0,
		.is_equal = is_equal, .polls = self->fd < 0,
	};
	const struct wsgi_reload_next next = wsgi_reload_pace(&scanned);

	if (next.reloads)
		request_reload(self, arbiter);
	self->due_ms = next.due_ms;
	watch_directories(self);
	if (self->due_ms == 0 && self->fd < 0) /* inotify has failed */
		self->due_ms = wsgi_now_ms() + wsgi_reload_quiet_ms(self->scan_ms);
}

/* For poll(2): milliseconds until the next scan. */
static int remaining_ms(const struct reloader *self)
{
	const int64_t rest = self->due_ms - wsgi_now_ms();

	return self->due_ms == 0 ? -1 : rest > 0 ? (int)rest : 0;
}

/* After a drain request the next reloader has its own scan, and misses edits before it: request a reload for those here. */
static void watch(struct reloader *self)
{
	const pid_t arbiter = getppid();

	while (prefork_worker_check(self->worker) == PREFORK_CONTINUE) {
		struct pollfd fds[] = { { .fd = prefork_worker_fd(self->worker), .events = POLLIN },
			                { .fd = self->fd, .events = POLLIN } }; /* -1 is ignored */

		(void)poll(fds, 2, remaining_ms(self));
		if (fds[1].revents)
			take_events(self);
		if (remaining_ms(self) == 0)
			scan_when_due(self, arbiter);
	}
	(void)scan(self);
	if (*self->changed)
		request_reload(self, arbiter);
}

/* The application may be loaded before the first scan, and an edit between the two must not be lost. Later reloaders need
 * not look back: the one before watches until they are ready. */
static void find_edits_during_start(struct reloader *self)
{
	const char *const path = started.tv_sec != 0 ? wsgi_reload_scan_newer(self->last, &started) : NULL;

	if (path)
		note_change(self, path);
}

static int start(struct reloader *self)
{
	const struct prefork_settings *settings = prefork_worker_settings(self->worker);
	int r = find_places(self, settings);

	self->fd = -1;
	if (r == 0)
		r = create_scan(self, &self->last);
	if (r < 0)
		return r == -ENOMEM ? prefork_fail(r, "--reload: no memory") : r;
	if (strcmp(prefork_settings_text(settings, "reload_engine"), "poll") != 0)
		open_inotify(self);
	find_edits_during_start(self);
	watch_directories(self);
	self->due_ms = wsgi_now_ms() + wsgi_reload_quiet_ms(self->scan_ms);
	return 0;
}

static void finish(struct reloader *self)
{
	wsgi_reload_scan_destroy(self->last);
	for (size_t i = 0; i < self->places.tree_count; i++)
		free(self->trees[i]);
	free(self->paste);
	if (self->fd >= 0)
		(void)close(self->fd);
}

static int run(struct prefork_worker *worker, void *user)
{
	static struct reloader self; /* static since it is large; one per process */
	int r;

	(void)user;
	self.worker = worker;
	wsgi_log_prepare(prefork_worker_log(worker), prefork_worker_pool(worker), prefork_worker_slot(worker));
	r = start(&self);
	if (r == 0) {
		prefork_worker_ready(worker);
		watch(&self);
	}
	finish(&self);
	return r < 0 ? r : PREFORK_EXIT_RECYCLE;
}

static const char pool_name[] = "reload";

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy,
	.name = "reloader",
	.traits = PREFORK_STRATEGY_NO_SERVICE | PREFORK_STRATEGY_REPORTS_READY,
	.run = run,
};

static void after_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)user;
	if (strcmp(prefork_process_pool(process), pool_name) == 0)
		started = (struct timespec){ 0 };
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks,
	.after_fork = after_fork,
};

/* The user and the group are those of the arbiter: the user of --user may not send it a signal. */
static const struct {
	const char *name, *text;
} pool_settings[] = { { "workers", "1" }, { "workers_max", "1" }, { "user", "" }, { "group", "" } };

int wsgi_reloader_add(struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	struct prefork_pool *pool = NULL;
	int r;

	if (prefork_settings_int(settings, "reload") != 1)
		return 0;
	(void)clock_gettime(CLOCK_REALTIME, &started);
	r = prefork_arbiter_add_hooks(arbiter, &hooks, NULL);
	if (r == 0)
		r = prefork_arbiter_add_pool(arbiter, pool_name, &strategy, NULL, NULL, &pool);
	for (size_t i = 0; r == 0 && i < sizeof pool_settings / sizeof pool_settings[0]; i++)
		r = prefork_pool_set(pool, pool_settings[i].name, pool_settings[i].text);
	return r;
}
