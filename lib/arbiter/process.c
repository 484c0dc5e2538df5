/* The record of a worker process: its descriptors, its end, and the public functions by which hooks read it. */
#include "arbiter/process.h"

#include "arbiter/arbiter.h"
#include "base/required.h"
#include "listener/listener.h"
#include "listener/reuseport.h"
#include "model/message.h"
#include "os/clock.h"
#include "os/control_channel.h"
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

void pfi_process_set_exit_note(struct prefork_process *process, const char *text)
{
	pfi_exit_clean_text(text, process->exit_note, sizeof process->exit_note);
}

int pfi_process_open_sets(struct prefork_process *process, const struct pfi_listener_list *listeners)
{
	process->reuseport.sets = calloc(listeners->count + 1, sizeof *process->reuseport.sets);
	if (process->reuseport.sets == NULL)
		return -ENOMEM;
	process->reuseport.count = listeners->count;
	for (size_t i = 0; i < listeners->count; i++)
		process->reuseport.sets[i] = -1;
	for (size_t i = 0; i < listeners->count; i++) {
		if (listeners->list[i]->listener->sockets == NULL)
			continue;

		const int set = pfi_reuseport_set_open();

		if (set < 0)
			return set;
		process->reuseport.sets[i] = set;
	}
	return 0;
}

void pfi_process_close_sets(struct prefork_process *process)
{
	for (size_t i = 0; i < process->reuseport.count; i++)
		pfi_close(&process->reuseport.sets[i]);
	free(process->reuseport.sets);
	process->reuseport.sets = NULL;
	process->reuseport.count = 0;
}

void pfi_process_release(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	pfi_loop_remove(arbiter, process->pidfd);
	pfi_loop_remove(arbiter, process->channel);
	pfi_loop_remove(arbiter, process->watchdog);
	pfi_close(&process->pidfd);
	pfi_close(&process->channel);
	pfi_timer_close(&process->watchdog);
	pfi_process_close_sets(process);
	process->pid = 0;
}

void pfi_process_reap(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	struct pollfd exited = { .fd = process->pidfd, .events = POLLIN };
	struct pfi_exit_status status;

	while (poll(&exited, 1, -1) < 0 && errno == EINTR)
		continue;
	(void)pfi_reap(process->pidfd, &status);
	pfi_process_release(arbiter, process);
}

void pfi_processes_expect_refusal(struct prefork_arbiter *arbiter)
{
	for (unsigned s = 0; s < arbiter->processes_max; s++) {
		if (arbiter->processes[s].pid != 0)
			atomic_store(&pfi_process_score(&arbiter->processes[s])->shut, 1);
	}
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

const struct prefork_settings *prefork_process_settings(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);

	const struct pfi_generation *const generation = pfi_generation_find(process->arbiter, process->generation);

	return generation != NULL ? generation->of_pool[process->pool] : NULL;
}

int prefork_process_send(const struct prefork_process *process, const char *topic, int fd)
{
	PFI_RETURN_IF_NULL(process, -EINVAL);
	PFI_RETURN_IF_NULL(topic, -EINVAL);
	if (process->pid == 0)
		return -ESRCH;
	return pfi_channel_send_fds(process->channel, PFI_MESSAGE_HOOK, 0, topic, &fd, 1);
}

uint64_t prefork_process_age_ms(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, 0);
	return (process->exit.at_ms ? process->exit.at_ms : pfi_now_ms()) - process->spawned_ms;
}

uint64_t prefork_process_requests(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, 0);
	return process->health.requests;
}

const char *prefork_process_activity(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);
	return process->health.activity;
}

int prefork_process_status(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, -EINVAL);
	return process->exit.status;
}

enum prefork_reason prefork_process_reason(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, PREFORK_REASON_UNKNOWN);
	return process->exit.reason;
}

const char *prefork_process_exit_message(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);
	return process->exit.message;
}

const struct rusage *prefork_process_rusage(const struct prefork_process *process)
{
	PFI_RETURN_IF_NULL(process, NULL);
	return &process->exit.rusage;
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
