#include "arbiter/arbiter.h"

#include "base/required.h"
#include "os/clock.h"

#include <limits.h>

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
