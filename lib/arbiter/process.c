#include "arbiter/arbiter.h"

#include "os/clock.h"

int prefork_process_pid(const struct prefork_process *process)
{
	return (int)process->pid;
}

unsigned prefork_process_slot(const struct prefork_process *process)
{
	return process->slot;
}

unsigned prefork_process_generation(const struct prefork_process *process)
{
	return process->generation;
}

const char *prefork_process_pool(const struct prefork_process *process)
{
	return process->arbiter->pools[process->pool].name;
}

uint64_t prefork_process_age_ms(const struct prefork_process *process)
{
	return (process->died_ms ? process->died_ms : pfi_now_ms()) - process->born_ms;
}

uint64_t prefork_process_requests(const struct prefork_process *process)
{
	return process->requests;
}

const char *prefork_process_note(const struct prefork_process *process)
{
	return process->note;
}

int prefork_process_status(const struct prefork_process *process)
{
	return process->status;
}

enum prefork_reason prefork_process_reason(const struct prefork_process *process)
{
	return process->reason;
}

const char *prefork_process_sentence(const struct prefork_process *process)
{
	return process->sentence;
}

const struct rusage *prefork_process_rusage(const struct prefork_process *process)
{
	return &process->rusage;
}

void prefork_process_set_user(struct prefork_process *process, void *user)
{
	process->user = user;
}

void *prefork_process_user(const struct prefork_process *process)
{
	return process->user;
}
