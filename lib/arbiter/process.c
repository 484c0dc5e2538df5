/* The record of one worker process: what it is found by, what is closed with it, and what hooks may ask about it. */
#include "arbiter/arbiter.h"

#include "base/required.h"
#include "listener/reuseport.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/reap.h"
#include "os/timer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

struct pfi_slot *pfi_process_slot(const struct prefork_process *process)
{
	return &process->arbiter->pools[process->pool].slots[process->slot];
}

struct pfi_worker_score *pfi_process_score(const struct prefork_process *process)
{
	return pfi_scoreboard_at(&process->arbiter->scoreboard, process->worker_index);
}

int pfi_reuseport_sets_open(struct prefork_process *process, const struct pfi_listener_list *listeners)
{
	process->sets = calloc(listeners->count + 1, sizeof *process->sets);
	if (process->sets == NULL)
		return -ENOMEM;
	process->set_count = listeners->count;
	for (size_t i = 0; i < listeners->count; i++)
		process->sets[i] = -1;
	for (size_t i = 0; i < listeners->count; i++) {
		if (listeners->list[i]->listener->sockets == NULL)
			continue;
		process->sets[i] = pfi_reuseport_set_open();
		if (process->sets[i] < 0) {
			const int r = process->sets[i];

			process->sets[i] = -1;
			return r;
		}
	}
	return 0;
}

void pfi_reuseport_sets_close(struct prefork_process *process)
{
	for (size_t i = 0; i < process->set_count; i++)
		pfi_close(&process->sets[i]);
	free(process->sets);
	process->sets = NULL;
	process->set_count = 0;
}

/* Close what this process had. Its slot must be empty, or about to be. */
void pfi_child_release(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	pfi_loop_remove(arbiter, process->pidfd);
	pfi_loop_remove(arbiter, process->channel);
	pfi_loop_remove(arbiter, process->watchdog);
	pfi_close(&process->pidfd);
	pfi_close(&process->channel);
	pfi_timer_close(&process->watchdog);
	pfi_reuseport_sets_close(process);
	process->pid = 0;
}

/* It was sent SIGKILL: wait for the end, which the kernel does not put off, and forget it. */
void pfi_child_reap(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	struct pollfd gone = { .fd = process->pidfd, .events = POLLIN };
	struct pfi_exit_status death;

	while (poll(&gone, 1, -1) < 0 && errno == EINTR)
		continue;
	(void)pfi_reap(process->pidfd, &death);
	pfi_child_release(arbiter, process);
}

int prefork_process_pid(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, -EINVAL);
	return (int)process->pid;
}

unsigned prefork_process_slot(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, UINT_MAX);
	return process->slot;
}

unsigned prefork_process_generation(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, 0);
	return process->generation;
}

const char *prefork_process_pool(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);
	return process->arbiter->pools[process->pool].name;
}

uint64_t prefork_process_age_ms(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, 0);
	return (process->exited_ms ? process->exited_ms : pfi_now_ms()) - process->spawned_ms;
}

uint64_t prefork_process_requests(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, 0);
	return process->requests;
}

const char *prefork_process_activity(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);
	return process->activity;
}

int prefork_process_status(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, -EINVAL);
	return process->status;
}

enum prefork_reason prefork_process_reason(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, PREFORK_REASON_UNKNOWN);
	return process->reason;
}

const char *prefork_process_exit_message(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);
	return process->message;
}

const struct rusage *prefork_process_rusage(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);
	return &process->rusage;
}

void prefork_process_set_user(struct prefork_process *process, void *user)
{
	PFI_RETURN_IF_NULL(process, );
	process->user = user;
}

void *prefork_process_user(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);
	return process->user;
}
