/*
 * message -- the messages on a control channel between worker and arbiter.
 *
 * Each is one datagram {type, value, text} of os/control_channel. Both ends ignore unknown types: the peer may be
 * newer, or its memory corrupted.
 */
#ifndef MODEL_MESSAGE_H
#define MODEL_MESSAGE_H

enum pfi_message_type {
	/* worker to arbiter */
	PFI_MESSAGE_READY = 1,    /* it is ready                                                  */
	PFI_MESSAGE_FAILED = 2,   /* it exits before it is ready; value: exit status, text: why   */
	PFI_MESSAGE_RETIRING = 3, /* it drains by its own decision; text: why; value 1: it serves */
				  /* until PFI_MESSAGE_DRAIN                                      */
	PFI_MESSAGE_SHORTAGE = 4, /* it cannot accept connections and has left the accept set;    */
				  /* value: errno, with PFI_SHORTAGE_ flags                       */
	PFI_MESSAGE_SHORTAGE_OVER = 5, /* it accepts connections again                            */
	PFI_MESSAGE_ALIVE = 6,    /* the response to PFI_MESSAGE_POLL with value 1              */

	/* arbiter to worker */
	PFI_MESSAGE_DRAIN = 16,  /* finish all requests and exit; value 1: accept the pending     */
				 /* connections first, since no other worker will; text: when     */
				 /* idle connections close at the latest (model/drain.h)          */
	PFI_MESSAGE_REOPEN = 18, /* reopen the log files                                          */
	PFI_MESSAGE_HOOK = 20,   /* with one descriptor, for the hook worker_message; text: topic */
	PFI_MESSAGE_POLL = 19,   /* accept pending connections: the kernel may have woken a       */
				 /* worker for them that could not accept them; value 1: respond, */
				 /* to show that this worker is not stopped                       */
};

/* In the value of PFI_MESSAGE_SHORTAGE. */
enum {
	PFI_SHORTAGE_ERRNO = 0xffff,
	PFI_SHORTAGE_OWN = 1 << 16,  /* a limit of this process: other workers have their own             */
	PFI_SHORTAGE_LOAD = 1 << 17, /* its connections explain the shortage: so would those of a replacement */
};

#endif
