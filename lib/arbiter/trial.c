/*
 * The application may execute code to read its settings, such as a configuration file that is a program. A failed reload
 * must change nothing in the arbiter, so another process executes it first:
 *
 *   pfi_reload --> trial runs --> exits with status 0 and the proof: read the settings
 *                      '--> another status, a signal, time limit, stop, another reload: the reload has its verdict
 */
#include "arbiter/trial.h"

#include "arbiter/arbiter.h"
#include "base/required.h"
#include "base/struct_size.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUTPUT_MAX = 65536 }; /* the capacity of a pipe, pipe(7) */

int prefork_arbiter_set_reload_trial(struct prefork_arbiter *arbiter, const struct prefork_reload_trial *trial)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	PFI_RETURN_IF_NULL(trial, -EINVAL);

	const int r = pfi_struct_check(trial, trial->struct_size, PFI_SIZE_WITH(struct prefork_reload_trial, limit),
				       sizeof *trial, "struct prefork_reload_trial");

	if (r < 0)
		return r;
	if (pfi_limited_child_runs(&arbiter->trial.child))
		return prefork_fail(-EBUSY, "a trial is running");
	if (trial->path == NULL || trial->argv == NULL || trial->limit == NULL)
		return prefork_fail(-EINVAL, "a trial needs a program, its arguments and the setting of its limit");
	pfi_struct_copy(&arbiter->trial.program, sizeof arbiter->trial.program, trial, trial->struct_size);
	return 0;
}

int pfi_trial_start(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_trial *const trial = &arbiter->trial;
	const struct prefork_reload_trial *const program = &trial->program;
	int64_t limit_ms = 0;
	int r;

	if (program->path == NULL || (program->is_needed != NULL && program->is_needed(arbiter, program->user) == 0))
		return 0;
	if (!pfi_limited_child_allowed(arbiter))
		return -EAGAIN;
	r = prefork_settings_get_int(arbiter->settings, program->limit, &limit_ms);
	if (r == 0)
		r = pfi_helper_exec(program->path, program->argv, &trial->child.helper);
	if (r < 0)
		return r;
	r = pfi_limited_child_watch(arbiter, &trial->child, (struct pfi_tag){ PFI_SOURCE_TRIAL, 0, ++trial->number },
				    (uint64_t)limit_ms + program->grace_ms, now_ms);
	if (r < 0) {
		pfi_trial_end(arbiter);
		return r;
	}
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "reload_trial",
			PFI_PAIRS(PREFORK_NUMBER("pid", trial->child.helper.pid)),
			"The reload tries the configuration in a process of its own (pid:%d), for at most %.1f s",
			(int)trial->child.helper.pid, (double)limit_ms / 1000);
	return 1;
}

void pfi_trial_child_event(struct prefork_arbiter *arbiter, uint32_t number)
{
	if (number == arbiter->trial.number)
		pfi_limited_child_event(&arbiter->trial.child);
}

void pfi_trial_end(struct prefork_arbiter *arbiter)
{
	pfi_limited_child_end(arbiter, &arbiter->trial.child);
}

/* Cut the text behind its last line that is not blank, and return that line. */
static char *last_line(char *text)
{
	size_t size = strlen(text);
	char *line;

	while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL)
		size--;
	text[size] = '\0';
	line = strrchr(text, '\n');
	return line != NULL ? line + 1 : text;
}

static bool has_passed(const struct pfi_trial *trial, const char *output)
{
	const struct pfi_exit_status *const status = &trial->child.status;
	const char *const proof = trial->program.proof;
	const size_t length = strlen(output), tail = proof != NULL ? strlen(proof) : 0;

	return trial->child.has_exited && status->known && status->code == 0 && status->signo == 0 && length >= tail &&
	       (proof == NULL || strcmp(output + length - tail, proof) == 0);
}

/* Why it has failed, if it has written nothing. */
static void explain(const struct pfi_trial *trial, char *why, size_t size)
{
	const struct pfi_limited_child *const child = &trial->child;

	if (!child->has_exited)
		(void)snprintf(why, size, "the configuration was not read within %.1f s (%s)",
			       (double)(child->limit_ms - trial->program.grace_ms) / 1000, trial->program.limit);
	else if (!child->status.known)
		(void)snprintf(why, size, "the process that should try the configuration was reaped by the application");
	else if (child->status.signo != 0)
		(void)snprintf(why, size, "the process that tried the configuration was killed by signal %d (%s)",
			       child->status.signo, strsignal(child->status.signo));
	else
		(void)snprintf(why, size, "the process that tried the configuration has exited with status %d, before it was "
					  "done", child->status.code);
}

/* The lines before the last one, which the verdict contains. */
static void log_output(const struct prefork_arbiter *arbiter, const char *output, size_t size)
{
	if (size > 0)
		prefork_log_block(arbiter->log, PREFORK_LOG_ERROR, "arbiter",
				  "The configuration does not pass its trial event=reload_trial_failed", output, size);
}

static int refuse(const struct prefork_arbiter *arbiter, char *output)
{
	char *const line = last_line(output);
	char why[512];

	if (arbiter->trial.child.has_exited && *line != '\0')
		(void)snprintf(why, sizeof why, "%s", line);
	else
		explain(&arbiter->trial, why, sizeof why);
	log_output(arbiter, output, (size_t)(line - output));
	return prefork_fail(PREFORK_ECONFIG, "%s", why);
}

int pfi_trial_result(struct prefork_arbiter *arbiter)
{
	struct pfi_trial *const trial = &arbiter->trial;
	char *const output = calloc(1, OUTPUT_MAX + 1);
	int r;

	if (output == NULL) {
		pfi_trial_end(arbiter);
		return prefork_fail(-ENOMEM, "no memory for the result of the trial");
	}
	(void)pfi_helper_read(&trial->child.helper, output, OUTPUT_MAX);
	r = has_passed(trial, output) ? 0 : refuse(arbiter, output);
	free(output);
	pfi_trial_end(arbiter);
	return r;
}
