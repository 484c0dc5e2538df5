/*
 * accept_error -- what to do after a failed accept(2).
 */
#ifndef LISTENER_ACCEPT_ERROR_H
#define LISTENER_ACCEPT_ERROR_H

enum pfi_accept_verdict {
	PFI_ACCEPT_AGAIN,  /* the backlog is empty, or a signal was delivered: wait for the descriptor */
	PFI_ACCEPT_DROP,   /* this connection is lost: accept the next                                 */
	PFI_ACCEPT_PAUSE,  /* a resource is exhausted: pause accepting                                 */
	PFI_ACCEPT_CLOSED, /* the socket no longer listens: never retry                                */
};

/* Find out which resource accept4(2) lacks at the moment, without accepting a connection: an errno, or 0. `fd` is a
 * socket that does not listen: the kernel checks that after descriptor limits, memory and permissions. */
int pfi_accept_probe(int fd);

/* `error` is an errno. An unknown one pauses, so that the worker does not spin. */
enum pfi_accept_verdict pfi_accept_verdict(int error);

#endif
