/*
 * base/times.h -- time limits that no setting defines, in milliseconds.
 *
 * They are in one place because they depend on each other: http/ gives a client no more time than worker/ gives its
 * connection, and worker/ less than the graceful_timeout that the arbiter enforces. Limits that have a setting
 * (graceful_timeout, stop_linger, abort_timeout, orphan_timeout) are not here. Pure.
 */
#ifndef PFI_BASE_TIMES_H
#define PFI_BASE_TIMES_H

enum {
	/* A listener drains: it refuses new connections, and the established ones are accepted. */

	PFI_DRAIN_ACK_MS = 100,     /* the last ACK of a handshake: one slow round trip              */
	PFI_DRAIN_DEFER_MS = 1100,  /* per second of TCP_DEFER_ACCEPT: without data, the kernel      */
				    /* delivers a connection when its next SYN-ACK timer expires     */
	PFI_DRAIN_SOCKET_MS = 3000, /* handshakes on a reuseport socket that is removed: a round     */
				    /* trip, and a SYN-ACK that is sent again after 1 s. The other   */
				    /* sockets accept meanwhile, so new connections do not wait      */
	PFI_DRAIN_POLL_MS = 10,     /* between two checks of a backlog that drains                   */

	/* A worker drains: the time that its connections have. */

	PFI_LAST_REQUEST_MS = 2000,  /* to send a request or the rest of one: it may be in transit,  */
				     /* and a lost packet is sent again within this time             */
	PFI_LAST_OUTPUT_MS = 10000,  /* without progress of pending output, if the service sets no   */
				     /* deadline: several zero window probes of a busy client        */
	PFI_LINGER_CLOSE_MS = 2000,  /* lingering close (RFC 9112 9.6): input is read and discarded, */
				     /* so that no reset overtakes the response                      */

	/* A connection begins. */

	PFI_HANDSHAKE_MS = 10000,  /* for a PROXY header and a TLS handshake, in a worker without settings */

	/* A worker does not exit. */

	PFI_ORPHAN_MS = 1000,      /* after the exit of the arbiter, in a worker without settings     */
	PFI_ESCALATION_MS = 1000,  /* from SIGQUIT or SIGABRT to SIGKILL, if abort_timeout is 0      */
	PFI_KILL_AGAIN_MS = 10000, /* from one SIGKILL to the next: the worker is in a system call   */
	PFI_STUCK_POLL_MS = 50,    /* between two checks of a draining worker with a stuck thread:   */
				   /* no event reports that its other threads are done               */

	/* The arbiter itself was stopped: a suspend, a SIGSTOP. */

	PFI_LATE_TURN_MS = 1000, /* a turn that is later than this was stopped; load delays it by    */
				 /* tens of ms                                                       */
	PFI_GRACE_MAX_MS = 10000 /* the longest grace: it also delays the end of a stuck worker      */
};

#endif
