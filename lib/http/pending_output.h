/*
 * pending_output -- the part of a response that the client has not taken yet.
 *
 * It is sent in this order:
 *
 *     queue   in memory, with the connection, which sends it before anything else
 *     spool   a file without a name, for what exceeds the setting response_memory
 *     file    the rest of the file that the application sends (prefork_response_file())
 *
 * So no thread waits for a slow client: the connection waits until it is writable, and
 * pfi_pending_output_send() continues from the spool and the file. A response is complete
 * when its pending output is drained: pfi_pending_output_is_drained().
 *
 * The object has no reference to a request. The caller records errors that the functions return.
 * One thread uses it at a time.
 */
#ifndef HTTP_PENDING_OUTPUT_H
#define HTTP_PENDING_OUTPUT_H

#include "http/spool.h"

#include <prefork/service.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iovec;

struct pfi_pending_output {
	struct prefork_connection *connection; /* whose queue comes first; set on accept */
	struct pfi_spool_store *store;
	size_t memory_max;  /* of the queue */
	bool copies_file;   /* `file` is read and sent: sendfile(2) is not used for it */
	struct pfi_spool spool;
	int file;           /* of the application, borrowed */
	int64_t file_offset;
	uint64_t file_left; /* bytes */
	uint64_t file_sent; /* bytes */
	bool is_cut;        /* a part of the output was discarded: nothing may follow it */
	uint64_t left;      /* pfi_pending_output_left() when the wait began; 0: no wait so far */
	uint64_t wait_us;   /* when that was */
	uint64_t waited_us; /* duration of all waits of this request */
	uint64_t taken;     /* bytes that the client took during these waits */
};

/** An empty object. *Borrows* `store`. */
void pfi_pending_output_init(struct pfi_pending_output *out, struct pfi_spool_store *store, size_t memory_max);

/** Release the spool. */
void pfi_pending_output_clear(struct pfi_pending_output *out);

/** Reset the counters for the next request of the connection. */
static inline void pfi_pending_output_begin(struct pfi_pending_output *out)
{
	out->file_left = out->file_sent = 0;
	out->is_cut = false;
	out->left = out->waited_us = out->taken = 0;
}

/** Whether spool and file are sent, so that at most the queue is left. */
static inline bool pfi_pending_output_is_flushed(const struct pfi_pending_output *out)
{
	return !pfi_spool_has_more(&out->spool) && out->file_left == 0;
}

/** Whether the kernel has all output: queue, spool and file are empty. */
static inline bool pfi_pending_output_is_drained(const struct pfi_pending_output *out)
{
	return pfi_pending_output_is_flushed(out) && prefork_connection_pending(out->connection) == 0;
}

/** Copy `pieces`, `size` bytes in all, to the queue, or to the spool if they exceed `memory_max`. 0;
 *  -ECONNRESET: the connection is closed, or memory ran out and a part may be queued already;
 *  or an error of pfi_spool_append(), and nothing was copied. */
int pfi_pending_output_add(struct pfi_pending_output *out, const struct iovec *pieces, int count, size_t size);

/** Copy `pieces` to the queue, whatever their size. The spool must be empty. 0 or -ECONNRESET, as above. */
int pfi_pending_output_add_to_queue(struct pfi_pending_output *out, const struct iovec *pieces, int count);

/** Send `size` bytes from `offset` of `file` after all other output. *Borrows* `file` until the output is
 *  drained or discarded. */
void pfi_pending_output_add_file(struct pfi_pending_output *out, int file, int64_t offset, uint64_t size);

/** Send from the spool and the file, without waiting. 0: both are sent; -EAGAIN: the client must take
 *  some first, or other connections have a turn; -ENODATA: the file ends too early; or an error of the
 *  connection or of sendfile(2). After an error other than -EAGAIN the caller discards the output. */
int pfi_pending_output_send(struct pfi_pending_output *out);

/** Bytes that the client has not taken yet, including those in the kernel's send buffer. */
uint64_t pfi_pending_output_left(const struct pfi_pending_output *out);

/** Begin a wait for the client. Returns how long, in ms, the client may take nothing: at most `timeout_ms`, and 0
 *  if it has taken fewer than `rate` bytes per second on average. */
uint64_t pfi_pending_output_begin_wait(struct pfi_pending_output *out, uint64_t timeout_ms, uint64_t rate);

/** End that wait. Whether the client has taken something meanwhile. */
bool pfi_pending_output_end_wait(struct pfi_pending_output *out);

/** A connection has been idle for `keepalive_ms` since the kernel accepted the last of the response. Returns how much
 *  longer, in ms, it is kept, since the time counts from when the client has received that; 0: it is over, or the
 *  client takes nothing for `timeout_ms`, or fewer than `rate` bytes per second. */
uint64_t pfi_pending_output_idle_ms(struct pfi_pending_output *out, uint64_t keepalive_ms, uint64_t timeout_ms,
                                    uint64_t rate);

/** Discard the spool and the file: the output is truncated, and nothing may be added. */
void pfi_pending_output_discard(struct pfi_pending_output *out);

#endif
