/*
 * late -- what a client has not taken yet of a response, so that no thread has to
 * wait until it does: in memory, with the connection, and from there on in a file.
 *
 * First comes what is with the connection, then what is in the file. Whoever waits for
 * the connection to be writable has both sent.
 */
#ifndef HTTP_PENDING_OUTPUT_H
#define HTTP_PENDING_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iovec;
struct prefork_request;

/** Take `pieces` over, `size` bytes in all. 0; or a negative errno: there is no room for them, and
 *  whoever may wait for the client must do so, unless that is the request's error now. */
int pfi_pending_output_add(struct prefork_request *request, const struct iovec *pieces, int count, size_t size);

/** Send what is in the file. 0: nothing is left there; -EAGAIN: some is; or why it cannot be sent,
 *  which is then the request's error. */
int pfi_pending_output_send(struct prefork_request *request);

/** Wait here until the client has taken something. 0, or a negative errno, which is then the request's: it
 *  has taken nothing at all for too long, the worker must end, or nobody may wait here. */
int pfi_pending_output_wait(struct prefork_request *request);

/** A wait for the client begins: how long, in ms, it may take nothing; 0: it has been too slow altogether. */
uint64_t pfi_late_begin_wait(struct prefork_request *request);

/** It ends. Whether the client has taken something meanwhile. */
bool pfi_late_end_wait(struct prefork_request *request);

/** How much the client has yet to take, of what the kernel has to send as well: it says that a connection is
 *  writable only when there is room for a lot. */
uint64_t pfi_pending_output_left(const struct prefork_request *request);

/** Nobody will take it any more: the request has this error. Answers the request's first error. */
int pfi_pending_output_discard(struct prefork_request *request, int error);

#endif
