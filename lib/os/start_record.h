/*
 * start_record -- what this process was started with: the program, its arguments, environment and working directory.
 *
 * Read from /proc, where the kernel keeps what execve(2) was given: later changes by setenv(3) are not in it. The first
 * call counts: prefork_title_take() makes it before it writes over those strings, else prefork_settings_load() or
 * prefork_arbiter_create(). One per process, because all of it is. Threads: any.
 */
#ifndef OS_START_RECORD_H
#define OS_START_RECORD_H

struct pfi_start_record {
	char *directory;    /* by the name that the starter used, see pfi_path_working_directory()           */
	char *program;      /* as given to execve(2), so that a link or file put there since is followed; a  */
	                    /* relative path is relative to `directory`                                      */
	char **arguments;   /* ends with NULL */
	char **environment; /* the same       */
};

/* 0, also if /proc is missing; -ENOMEM with an error message: the next call tries again. */
int pfi_start_record_take(void);

/* Borrowed. NULL if there was no /proc or no memory. */
const struct pfi_start_record *pfi_start_record_get(void);

#endif
