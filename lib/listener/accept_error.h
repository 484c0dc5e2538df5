/*
 * accept -- what a failed accept(2) asks for.
 */
#ifndef LISTENER_ACCEPT_ERROR_H
#define LISTENER_ACCEPT_ERROR_H

enum pfi_accept_verdict {
	PFI_ACCEPT_AGAIN,  /* nobody there, or a signal came: wait for the descriptor */
	PFI_ACCEPT_DROP,   /* this one client is lost: take the next                  */
	PFI_ACCEPT_PAUSE,  /* short of something: leave the listener alone for a while */
	PFI_ACCEPT_CLOSED, /* it no longer listens: never try again                   */
};

/* What accept4(2) lacks at the moment, without accepting anything: an errno, or 0. `fd` is a socket that does not
 * listen: the kernel finds that out last, after the descriptor, the file, and the permission. */
int pfi_accept_probe(int fd);

/* `error` as in errno. What is not known pauses: it must not spin. */
enum pfi_accept_verdict pfi_accept_verdict(int error);

#endif
