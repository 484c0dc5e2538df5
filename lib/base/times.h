/*
 * base/times.h -- how long an end may take: the drain and grace times that no setting says.
 *
 * In milliseconds. The arbiter, the workers and HTTP use the same ones, so that what one side grants
 * the other side keeps: a client has as long in http/ as its worker has in worker/, and less than the
 * graceful_timeout that the arbiter enforces. What a setting says (graceful_timeout, stop_linger,
 * abort_timeout, orphan_timeout) is not here, only what holds where there is none. Pure.
 */
#ifndef PFI_BASE_TIMES_H
#define PFI_BASE_TIMES_H

enum {
	/* Drain: no new connection is established, those that are come out of the kernel. */

	PFI_DRAIN_ACK_MS = 100,     /* the last ACK of a handshake: a round trip, also a slow one   */
	PFI_DRAIN_DEFER_MS = 1100,  /* for each second of TCP_DEFER_ACCEPT: the kernel hands a      */
				    /* connection over without data at its next timer, a little later */
	PFI_DRAIN_SOCKET_MS = 3000, /* handshakes on a reuseport socket that is to be removed: a    */
				    /* round trip, and a SYN-ACK that is sent again after 1 s; the  */
				    /* other sockets accept meanwhile, so nobody waits for this one */
	PFI_DRAIN_LOOK_MS = 10,     /* between two looks at backlogs that should get empty          */

	/* A worker leaves: what its connections have left. */

	PFI_LAST_REQUEST_MS = 2000,  /* to send a request, or the rest of one: it may be on its way,  */
				     /* and a lost packet is sent again within this                  */
	PFI_LAST_OUTPUT_MS = 10000,  /* without progress of pending output, when the service set no  */
				     /* deadline: as long as zero window probes of a busy client     */
	PFI_LINGER_CLOSE_MS = 2000,  /* lingering close, RFC 9112 9.6: to read what is left unread,  */
				     /* so that no reset overtakes the response                      */

	/* A worker does not end. */

	PFI_ORPHAN_MS = 1000,      /* after the arbiter's death, without orphan_timeout             */
	PFI_LADDER_MS = 1000,      /* from QUIT or ABRT to KILL, without abort_timeout              */
	PFI_KILL_AGAIN_MS = 10000, /* from KILL to KILL: it is stuck in the kernel                  */
	PFI_STUCK_LOOK_MS = 50,    /* between two looks at a worker that drains beside a stuck      */
				   /* thread: no event says that the other threads are done        */

	/* Grace, when the arbiter itself came too late: after a suspend, a SIGSTOP. */

	PFI_LATE_TURN_MS = 1000, /* later than a busy machine makes a turn (tens of ms)              */
	PFI_GRACE_MAX_MS = 10000 /* a grace given in error is that much more for a stuck worker      */
};

#endif
