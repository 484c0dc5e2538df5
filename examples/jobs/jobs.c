/*
 * jobs --spool DIR: workers without clients. Each takes shell scripts from DIR, one at a time,
 * and runs them: *.job is what waits, *.run is in somebody's hands, *.done and *.failed are over.
 *
 * The supervisor is the same as for a server: a job that takes longer than --timeout is shown
 * in the log, its worker is ended and replaced (the script stays behind as *.run, and what it has
 * started is left alone); a stop (TERM) lets every worker finish the job it has; HUP replaces the
 * workers one by one, TTIN and TTOU make them more and fewer.
 *
 * What it shows: a setting of one's own, a strategy of one's own (struct prefork_strategy) that runs
 * without a service, and how such a worker says that it is busy, what with, and idle again.
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

enum { STEM_MAX = 512 }; /* the directory, a slash and a name without its last part */

struct jobs_settings {
	const char *spool;
};

static const struct prefork_option options[] = {
	{ .struct_size = sizeof(struct prefork_option), .name = "spool",
	  PREFORK_OPTION_IN(STRING, struct jobs_settings, spool), .max = 200, .default_text = "spool", .unit = "DIR",
	  .section = "Jobs", .doc = "The directory that jobs are put into." },
};

static const struct prefork_module module = {
	.struct_size = sizeof module,
	.name = "jobs",
	.options = options,
	.option_count = sizeof options / sizeof options[0],
	.values_size = sizeof(struct jobs_settings),
};

/* NAME.job -> NAME.run: only one of all workers can. */
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

/* Workers must not fork without exec; posix_spawn(3) does both at once. What a worker ignores
 * (SIGPIPE) a script does not. */
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
	prefork_worker_busy(worker); /* from here on --timeout counts */
	prefork_worker_set_activity(worker, stem, strlen(stem));
	const bool well = run_script(from);
	(void)snprintf(to, sizeof to, "%.*s.%s", STEM_MAX, stem, well ? "done" : "failed");
	if (rename(from, to) < 0)
		prefork_log_printf(prefork_worker_log(worker), PREFORK_LOG_ERROR, "jobs", "%s: %s", to, strerror(errno));
	prefork_worker_count_request(worker);
	prefork_worker_idle(worker); /* and here it ends */
}

/* Do one job of those that wait. False: there is none. */
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

/* The worker's loop. prefork_worker_fd() is readable when the arbiter has something to say,
 * prefork_worker_check() tells what it comes to: stay, or leave after this job. */
static int run(struct prefork_worker *worker, void *user)
{
	const struct jobs_settings *const settings = prefork_settings_values(prefork_worker_settings(worker), &module);
	const char *const spool = settings->spool;
	const int news = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char events[4096];

	(void)user;
	if (news < 0 || inotify_add_watch(news, spool, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
		return prefork_fail(-errno, "cannot watch %s: %s", spool, strerror(errno)); /* a boot failure */
	prefork_worker_ready(worker);
	while (prefork_worker_check(worker) == PREFORK_CONTINUE) {
		struct pollfd wait[] = { { .fd = prefork_worker_fd(worker), .events = POLLIN },
			                 { .fd = news, .events = POLLIN } };

		if (do_next(worker, spool))
			continue;
		(void)poll(wait, 2, -1); /* without a deadline: idle workers are never late */
		(void)!read(news, events, sizeof events);
	}
	(void)close(news);
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
	    (r = prefork_settings_parse(settings, argc, argv)) == 0 && /* 1: --help and the like were answered */
	    (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_pool(arbiter, "jobs", &strategy, NULL, NULL, NULL)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		fprintf(stderr, "jobs: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
