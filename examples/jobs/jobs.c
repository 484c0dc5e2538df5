/*
 * jobs --spool DIR: workers without connections. Each runs shell scripts from DIR, one at a time.
 * The suffix is the state: *.job is queued, *.run is running, *.done and *.failed are finished.
 *
 * The arbiter supervises them like servers. If a job takes longer than --timeout, the log names it
 * and its worker is killed and replaced; the script stays as *.run, and its processes continue.
 * TERM drains: each worker finishes its job. HUP replaces the workers; TTIN and TTOU change their
 * number.
 *
 * It shows: an own setting, an own strategy (struct prefork_strategy) without a service, and how a
 * worker reports that it is busy, its activity, and that it is idle.
 */
#include <prefork/prefork.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { STEM_MAX = 512 }; /* directory, slash, and file name without suffix */

struct jobs_settings {
	const char *spool;
};

static const struct prefork_option options[] = {
	{ .struct_size = sizeof(struct prefork_option), .name = "spool",
	  PREFORK_OPTION_IN(STRING, struct jobs_settings, spool), .max = 200, .default_text = "spool", .unit = "DIR",
	  .section = "Jobs", .doc = "The directory of the jobs." },
};

static const struct prefork_module module = {
	.struct_size = sizeof module,
	.name = "jobs",
	.options = options,
	.option_count = sizeof options / sizeof options[0],
	.values_size = sizeof(struct jobs_settings),
};

/* NAME.job -> NAME.run. rename(2) is atomic: it succeeds in one worker only. */
static bool claim(const char *spool, const char *name, char stem[STEM_MAX])
{
	char from[STEM_MAX + 8], to[STEM_MAX + 8];
	const char *const dot = strrchr(name, '.');

	if (!dot || strcmp(dot, ".job") != 0)
		return false;
	(void)snprintf(stem, STEM_MAX, "%s/%.*s", spool, (int)(dot - name), name);
	(void)snprintf(from, sizeof from, "%.*s.job", STEM_MAX, stem);
	(void)snprintf(to, sizeof to, "%.*s.run", STEM_MAX, stem);
	return rename(from, to) == 0;
}

/* posix_spawn(3): workers must not fork without exec. The script gets default dispositions: workers
 * ignore SIGPIPE. */
static bool run_script(char *path)
{
	char shell[] = "/bin/sh";
	char *const argv[] = { shell, path, NULL };
	posix_spawnattr_t attributes;
	sigset_t all;
	int status;
	pid_t pid;

	(void)sigfillset(&all);
	if (posix_spawnattr_init(&attributes) != 0)
		return false;
	(void)posix_spawnattr_setsigdefault(&attributes, &all);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	const int r = posix_spawn(&pid, shell, NULL, &attributes, argv, environ);
	(void)posix_spawnattr_destroy(&attributes);
	if (r != 0)
		return false;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return false;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void do_job(struct prefork_worker *worker, const char stem[STEM_MAX])
{
	char from[STEM_MAX + 8], to[STEM_MAX + 8];

	(void)snprintf(from, sizeof from, "%.*s.run", STEM_MAX, stem);
	prefork_worker_busy(worker); /* --timeout starts */
	prefork_worker_set_activity(worker, stem, strlen(stem));
	const bool ok = run_script(from);
	(void)snprintf(to, sizeof to, "%.*s.%s", STEM_MAX, stem, ok ? "done" : "failed");
	if (rename(from, to) < 0)
		prefork_log_printf(prefork_worker_log(worker), PREFORK_LOG_ERROR, "jobs", "Cannot rename to %s: %s event=rename_failed", to, strerror(errno));
	prefork_worker_count_request(worker);
	prefork_worker_idle(worker); /* --timeout stops */
}

/* Run one queued job. Returns false if there is none. */
static bool do_next(struct prefork_worker *worker, const char *spool)
{
	DIR *const directory = opendir(spool);
	const struct dirent *entry;
	char stem[STEM_MAX];
	bool found = false;

	if (!directory)
		return false;
	while (!found && (entry = readdir(directory)) != NULL)
		found = claim(spool, entry->d_name, stem);
	(void)closedir(directory);
	if (found)
		do_job(worker, stem);
	return found;
}

/* The loop of the worker. prefork_worker_fd() is readable when the arbiter has sent a message;
 * prefork_worker_check() returns its directive: continue, or drain after this job. */
static int run(struct prefork_worker *worker, void *user)
{
	const struct jobs_settings *const settings = prefork_settings_values(prefork_worker_settings(worker), &module);
	const char *const spool = settings->spool;
	const int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char events[4096];

	(void)user;
	if (changes < 0 || inotify_add_watch(changes, spool, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
		return prefork_fail(-errno, "cannot watch %s: %s", spool, strerror(errno)); /* a boot failure */
	prefork_worker_ready(worker);
	while (prefork_worker_check(worker) == PREFORK_CONTINUE) {
		struct pollfd wait[] = { { .fd = prefork_worker_fd(worker), .events = POLLIN },
			                 { .fd = changes, .events = POLLIN } };

		if (do_next(worker, spool))
			continue;
		(void)poll(wait, 2, -1); /* no timeout: idle workers have no deadline */
		(void)!read(changes, events, sizeof events);
	}
	(void)close(changes);
	return PREFORK_EXIT_RECYCLE;
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy,
	.name = "jobs",
	.traits = PREFORK_STRATEGY_NO_SERVICE | PREFORK_STRATEGY_REPORTS_READY,
	.run = run,
};

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	int r = prefork_settings_create(&settings);

	prefork_title_take(argc, argv);
	if (r == 0 && (r = prefork_settings_add_module(settings, &module)) == 0 &&
	    (r = prefork_settings_parse(settings, argc, argv)) == 0 && /* 1: done, for example --help */
	    (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_pool(arbiter, "jobs", &strategy, NULL, NULL, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		fprintf(stderr, "jobs: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
