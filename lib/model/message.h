/*
 * message -- what the two ends of a control channel say to each other.
 *
 * One datagram each: os/lifeline carries {type, value, text}. Either end
 * ignores types that it does not know: the other may be newer, or hostile.
 */
#ifndef MODEL_MESSAGE_H
#define MODEL_MESSAGE_H

enum pfi_message_type {
	/* worker to arbiter */
	PFI_MESSAGE_READY = 1,  /* it serves                                                    */
	PFI_MESSAGE_FAILED = 2, /* it will leave before ready; value: exit status, text: why     */
	PFI_MESSAGE_RETIRING = 3, /* it leaves by its own decision; text: why; value 1: not yet,   */
	                         /* it serves until it is asked to leave                         */
	PFI_MESSAGE_SHORT = 4,   /* it cannot accept connections and has left the accept set;     */
	                         /* value: errno, with PFI_SHORT_ flags                          */
	PFI_MESSAGE_ABLE = 5,    /* it accepts connections again                                 */
	PFI_MESSAGE_ALIVE = 6,   /* the answer to a PFI_MESSAGE_LOOK that wants one              */

	/* arbiter to worker */
	PFI_MESSAGE_DRAIN = 16, /* finish what you have; value 1: empty the queues first, since  */
	                        /* nobody else will answer those clients                         */
	PFI_MESSAGE_REOPEN = 18, /* open the log files again                                     */
	PFI_MESSAGE_LOOK = 19,   /* see whether connections are pending: the kernel may have woken */
	                         /* another worker for them, which could not accept them;        */
	                         /* value 1: answer, to show that this worker runs               */
};

/* In the value of PFI_MESSAGE_SHORT. */
enum {
	PFI_SHORT_ERRNO = 0xffff,
	PFI_SHORT_OWN = 1 << 16,  /* a limit of this process: its siblings have their own     */
	PFI_SHORT_LOAD = 1 << 17, /* its connections explain that: another would fare no better */
};

#endif
