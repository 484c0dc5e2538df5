/*
 * frame_blocks -- a cache of the memory blocks for frames of Python functions.
 *
 * CPython maps a block for the first frame of each greenlet, and unmaps it when the greenlet ends: with a greenlet
 * per request, that is most of the cost of a short request.
 */
#ifndef WSGI_FRAME_BLOCKS_H
#define WSGI_FRAME_BLOCKS_H

/** Keep freed blocks for the next greenlet. The caller has the GIL. Call it once. */
void wsgi_frame_blocks_keep(void);

#endif
