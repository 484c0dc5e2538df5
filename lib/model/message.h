/*
 * message -- what the two ends of a lifeline say to each other.
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
	PFI_MESSAGE_LEAVING = 3, /* it leaves by its own decision; text: why; value 1: not yet,   */
	                         /* it serves until it is asked to leave                         */

	/* arbiter to worker */
	PFI_MESSAGE_LEAVE = 16, /* finish what you have; value 1: empty the queues first, since  */
	                        /* nobody else will answer those clients                         */
	PFI_MESSAGE_QUIT = 17,  /* leave at once                                                 */
	PFI_MESSAGE_REOPEN = 18, /* open the log files again                                     */
};

#endif
