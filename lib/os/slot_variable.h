/*
 * slot_variable -- the environment variable PREFORK_SLOT, from which a worker and the programs that it starts know its slot.
 */
#ifndef OS_SLOT_VARIABLE_H
#define OS_SLOT_VARIABLE_H

#define PFI_SLOT_VARIABLE "PREFORK_SLOT"

/* Runs in a forked child, with one thread: set the variable. Not with setenv(3), which takes a lock that another thread of
 * the parent may have held during the fork. Returns 0 or -ENOMEM. */
int pfi_slot_variable_set(unsigned slot);

#endif
