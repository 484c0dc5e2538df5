/*
 * arbiter/hook_calls.h -- the calls of hooks that can refuse a step, and of those that follow the number of workers.
 *
 * Other hooks are called where the event is: PFI_HOOKS() in arbiter/arbiter.h.
 */
#ifndef ARBITER_HOOK_CALLS_H
#define ARBITER_HOOK_CALLS_H

struct prefork_arbiter;
struct prefork_process;
struct prefork_settings;

/* Each calls the hook in all sets until one refuses: 0, or its negative result. */
int pfi_hooks_listening(struct prefork_arbiter *arbiter);
int pfi_hooks_reload_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *settings);
int pfi_hooks_check_pool(struct prefork_arbiter *arbiter, const char *pool, const struct prefork_settings *settings);

/* The same; counts in the process which sets have been called. */
int pfi_hooks_before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process);

/* Call `scaled` for each pool whose desired number of workers has changed since the last call. */
void pfi_hooks_report_scale(struct prefork_arbiter *arbiter);

#endif
