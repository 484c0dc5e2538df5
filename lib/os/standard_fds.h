/*
 * standard_fds -- descriptors 0 to 2 must be open.
 *
 * If one of them is closed, the next descriptor of the library gets its number, and what the program prints is sent to
 * a client or to the arbiter.
 */
#ifndef OS_STANDARD_FDS_H
#define OS_STANDARD_FDS_H

/* Open /dev/null at each of the numbers 0 to 2 that is closed. 0 or a negative errno. */
int pfi_standard_fds_fill(void);

#endif
