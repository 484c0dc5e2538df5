/*
 * worker_score -- a worker's part of the scoreboard: shared memory that the worker writes and the arbiter reads.
 *
 * Each field has exactly one writer, which is the worker (except for `shut`). No field is a pointer, a lock, an index or
 * a length that the arbiter trusts: a worker that overwrites this memory can appear stuck or garble its own activity
 * in the log, but cannot harm the arbiter. The arbiter sets it to 0 before each fork, while the slot has no process.
 */
#ifndef MODEL_WORKER_SCORE_H
#define MODEL_WORKER_SCORE_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { PFI_ACTIVITY_SIZE = 96, PFI_EXIT_NOTE_SIZE = 112 };

/* One per thread: two cache lines that no other thread writes. */
struct pfi_thread_slot {
	alignas(128) _Atomic uint64_t deadline_ms; /* CLOCK_MONOTONIC; 0: idle, no deadline;         */
	                                           /* UINT64_MAX: busy, without a limit              */
	_Atomic uint64_t since_ms;                 /* when the current work began                    */
	_Atomic uint64_t requests;                 /* served by this thread                          */
	_Atomic uint32_t tid;                      /* thread id of the kernel; 0: no such thread     */
	char activity[PFI_ACTIVITY_SIZE];                  /* its current or last activity; may lack its NUL */
};

/* Followed by one thread slot per thread. */
struct pfi_worker_score {
	alignas(128) _Atomic uint32_t connections;
	_Atomic uint32_t closed; /* 1: it drains and accepts no more connections; `connections` only falls */
	_Atomic uint32_t shut;   /* written by the arbiter: a listener of this worker refuses connections, or soon will */
	char exit_note[PFI_EXIT_NOTE_SIZE]; /* why it exits, if the control channel is closed; may lack its NUL */
	struct pfi_thread_slot thread_slots[];
};

static_assert(sizeof(struct pfi_thread_slot) == 128, "two cache lines per thread");
static_assert(sizeof(struct pfi_worker_score) == 128, "thread slots begin on their own cache line");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a deadline must not take a lock");

static inline size_t pfi_worker_score_bytes(size_t threads)
{
	return sizeof(struct pfi_worker_score) + threads * sizeof(struct pfi_thread_slot);
}

#endif
