/*
 * arbiter/score_reader.h -- read a worker's part of the scoreboard.
 *
 * The worker, and whatever corrupts its memory, may write any byte there at any time. All of it is input: numbers are
 * copied once and compared, texts are cleaned, and nothing read is used as a pointer, an index or a length.
 */
#ifndef ARBITER_SCORE_READER_H
#define ARBITER_SCORE_READER_H

#include "model/deadline.h"
#include "model/worker_score.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct prefork_process;

enum { PFI_THREAD_SLOTS_MAX = 1025 };

struct pfi_worker_score *pfi_process_score(const struct prefork_process *process);

/* How many thread slots its pool has, at most PFI_THREAD_SLOTS_MAX. */
unsigned pfi_score_threads(const struct prefork_process *process);

/* Copy the deadlines of all threads and add up their requests. Returns the thread with the earliest deadline, or 0. */
unsigned pfi_score_read_deadlines(const struct prefork_process *process, struct pfi_thread_deadline *ret,
				  uint64_t *ret_requests);

/* What a thread works on, with control characters replaced; "" if it has set none. */
void pfi_score_read_activity(const struct prefork_process *process, unsigned thread, char ret[PFI_ACTIVITY_SIZE + 1]);

/* Copy the exit note, which a worker writes if it cannot send it over the control channel. */
void pfi_score_read_exit_note(const struct prefork_process *process, char ret[PFI_EXIT_NOTE_SIZE + 1]);

/* Whether all threads wait for work: none has a deadline. */
bool pfi_score_is_idle(const struct prefork_process *process);

/* The number of connections besides those of the `overdue` threads, plus one while the worker accepts. */
uint32_t pfi_score_other_connections(const struct prefork_process *process, uint32_t overdue);

/* The id of a thread, as the worker has stored it: it may be any number, and the kernel checks it. */
pid_t pfi_score_thread_id(const struct prefork_process *process, unsigned thread);

#endif
