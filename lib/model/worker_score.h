/*
 * page -- what a worker shows the arbiter: one page (or a few) per slot.
 *
 * Rule of the page: every field has exactly one writer, the worker but for `shut`, and
 * nothing in it is a pointer, a lock, an index or a length the arbiter trusts.
 * A worker that scribbles here can make itself look stuck, or garble its own
 * note in the log, and nothing worse. The arbiter zeroes the page before each
 * fork, while the slot has no process.
 */
#ifndef MODEL_WORKER_SCORE_H
#define MODEL_WORKER_SCORE_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { PFI_ACTIVITY_SIZE = 96, PFI_EXIT_NOTE_SIZE = 112 };

/* One per executing thread: two cache lines that no other thread writes. */
struct pfi_thread_slot {
	alignas(128) _Atomic uint64_t deadline_ms; /* CLOCK_MONOTONIC; 0: waits for work, never late; */
	                                           /* UINT64_MAX: at work, without a limit           */
	_Atomic uint64_t since_ms;                 /* when the work in hand began                    */
	_Atomic uint64_t requests;                 /* served by this thread                          */
	_Atomic uint32_t tid;                      /* of the kernel; 0: nobody has this number       */
	char activity[PFI_ACTIVITY_SIZE];                  /* what it is, or was last, at; may lack its NUL  */
};

/* The head of the page; cells[threads] follow. */
struct pfi_worker_score {
	alignas(128) _Atomic uint32_t connections;
	_Atomic uint32_t closed; /* 1: it leaves and accepts nobody, all it will ever have are in `connections` */
	_Atomic uint32_t shut;   /* the arbiter's word: a listener of this worker refuses, or soon will */
	char exit_note[PFI_EXIT_NOTE_SIZE]; /* why it ends, where its control channel is closed; may lack its NUL */
	struct pfi_thread_slot thread_slots[];
};

static_assert(sizeof(struct pfi_thread_slot) == 128, "two cache lines per thread");
static_assert(sizeof(struct pfi_worker_score) == 128, "the cells begin on a line of their own");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a deadline must not take a lock");

static inline size_t pfi_worker_score_bytes(size_t threads)
{
	return sizeof(struct pfi_worker_score) + threads * sizeof(struct pfi_thread_slot);
}

#endif
