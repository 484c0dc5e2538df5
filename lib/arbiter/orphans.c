/*
 * Process 1, and a sub-reaper (PR_SET_CHILD_SUBREAPER, prctl(2)), becomes the parent of processes whose parent exits:
 * children of workers and of applications.
 *
 * The library's own children are reaped through their pidfds. Other children may belong to the application, which may
 * read their exit status at any time: only a child that has been a zombie for ten seconds counts as an orphan.
 * SIGCHLD says when to scan; without zombies no timer runs.
 */
#include "arbiter/orphans.h"

#include "arbiter/arbiter.h"

#include <prefork/error.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t pfi_orphans_after_ms = 10 * 1000;

int pfi_orphans_start(struct prefork_arbiter *arbiter)
{
	struct pfi_orphans *const orphans = &arbiter->orphans;
	int was = 0;

	*orphans = (struct pfi_orphans){ .active = getpid() == 1, .scan_due = true };
	if (!pfi_library_settings(arbiter->settings)->child_subreaper)
		return 0;
	if (prctl(PR_GET_CHILD_SUBREAPER, &was) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return prefork_fail(-errno, "child_subreaper: %s", strerror(errno));
	orphans->active = true;
	orphans->was_no_subreaper = was == 0;
	return 0;
}

void pfi_orphans_finish(struct prefork_arbiter *arbiter)
{
	if (arbiter->orphans.was_no_subreaper)
		(void)prctl(PR_SET_CHILD_SUBREAPER, 0);
	arbiter->orphans = (struct pfi_orphans){ 0 };
}

bool pfi_orphans_take_signal(struct prefork_arbiter *arbiter)
{
	struct sigaction now;

	arbiter->orphans.has_signal = arbiter->orphans.active && sigaction(SIGCHLD, NULL, &now) == 0 &&
				      now.sa_handler == SIG_DFL;
	return arbiter->orphans.has_signal;
}

void pfi_orphans_signalled(struct prefork_arbiter *arbiter)
{
	arbiter->orphans.scan_due = true;
}

static bool is_zombie(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static void add_zombie(struct prefork_arbiter *arbiter, pid_t pid, uint64_t now_ms)
{
	struct pfi_orphans *const orphans = &arbiter->orphans;

	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		if (arbiter->processes[i].pid == pid)
			return;
	}
	for (unsigned i = 0; i < orphans->count; i++) {
		if (orphans->zombies[i].pid == pid)
			return;
	}
	if (orphans->count < PFI_ZOMBIES_MAX && is_zombie(pid))
		orphans->zombies[orphans->count++] = (struct pfi_zombie){ pid, now_ms };
}

/* If /proc is that of an outer pid namespace, its numbers are those of that one: the last of NSpid is ours
 * (proc_pid_status(5), since Linux 4.1). */
static pid_t own_number(pid_t pid)
{
	char path[64], line[256];
	pid_t own = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *const file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file)) {
		const char *const last = strrchr(line, '\t');

		if (strncmp(line, "NSpid:", 6) == 0 && last)
			own = (pid_t)atoi(last + 1);
	}
	if (file)
		(void)fclose(file);
	return own;
}

/* Children are listed by the thread that forked them. */
static void add_children(struct prefork_arbiter *arbiter, const char *thread, bool is_own_proc, uint64_t now_ms)
{
	char path[300];
	int pid;

	(void)snprintf(path, sizeof path, "/proc/self/task/%s/children", thread);
	FILE *const file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1)
		add_zombie(arbiter, is_own_proc ? (pid_t)pid : own_number((pid_t)pid), now_ms);
	if (file)
		(void)fclose(file);
}

static void scan(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	char self[32] = "";
	DIR *const tasks = opendir("/proc/self/task");
	siginfo_t first = { 0 };

	const bool is_own_proc = readlink("/proc/self", self, sizeof self - 1) > 0 && atoi(self) == (int)getpid();
	for (const struct dirent *entry; tasks && (entry = readdir(tasks));) {
		if (entry->d_name[0] != '.')
			add_children(arbiter, entry->d_name, is_own_proc, now_ms);
	}
	if (tasks)
		(void)closedir(tasks);
	/* Without /proc, or without CONFIG_PROC_CHILDREN, one at a time. */
	if (waitid(P_ALL, 0, &first, WEXITED | WNOHANG | WNOWAIT) == 0 && first.si_pid > 0)
		add_zombie(arbiter, first.si_pid, now_ms);
}

/* Reap the zombies that are due, and remove those that the application has reaped. Returns when the next is due, 0:
 * there is none. */
static uint64_t reap_due(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_orphans *const orphans = &arbiter->orphans;
	uint64_t wake_ms = 0;
	unsigned kept = 0;

	for (unsigned i = 0; i < orphans->count; i++) {
		const struct pfi_zombie zombie = orphans->zombies[i];
		const uint64_t due_ms = zombie.since_ms + pfi_orphans_after_ms;

		if (!is_zombie(zombie.pid))
			continue;
		if (due_ms <= now_ms) {
			(void)waitpid(zombie.pid, NULL, WNOHANG);
			pfi_arbiter_log(arbiter, PREFORK_LOG_DEBUG, "orphan_reaped", PFI_PAIRS(PREFORK_NUMBER("pid", zombie.pid)),
					"Orphan (pid:%d) reaped", (int)zombie.pid);
			orphans->scan_due = true; /* there may be more than the list holds */
			continue;
		}
		orphans->zombies[kept++] = zombie;
		if (wake_ms == 0 || due_ms < wake_ms)
			wake_ms = due_ms;
	}
	orphans->count = kept;
	return wake_ms;
}

uint64_t pfi_orphans_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_orphans *const orphans = &arbiter->orphans;

	if (!orphans->active)
		return 0;
	if (orphans->scan_due || !orphans->has_signal || (orphans->wake_ms != 0 && orphans->wake_ms <= now_ms)) {
		(void)reap_due(arbiter, now_ms);
		orphans->scan_due = false;
		scan(arbiter, now_ms);
		orphans->wake_ms = reap_due(arbiter, now_ms);
	}
	return orphans->wake_ms;
}
