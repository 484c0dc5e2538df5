/*
 * arbiter/override.h -- settings that the application changes between the creation of an arbiter and its start.
 */
#ifndef ARBITER_OVERRIDE_H
#define ARBITER_OVERRIDE_H

struct prefork_arbiter;

/* Set the name of the program for log and titles: the setting proc_name, which belongs to the settings, or that of the
 * executable. Call it when the settings have been replaced. */
void pfi_override_name(struct prefork_arbiter *arbiter);

#endif
