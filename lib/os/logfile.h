/*
 * logfile -- an append-only file that never makes its writer wait.
 *
 * Regular files do not block (a full disk answers ENOSPC). For pipes and
 * terminals the open file description is shared with strangers, whose O_NONBLOCK
 * is not ours to set; so it is opened anew by /proc/self/fd. Sockets take
 * MSG_DONTWAIT. Where none of that works, poll(2) is asked first.
 *
 * Threads: write from any; reopen from one at a time (it swaps the description
 * under the same number). Fork: the child counts its own losses.
 */
#ifndef OS_LOGFILE_H
#define OS_LOGFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum pfi_logfile_kind {
	PFI_LOGFILE_PLAIN,  /* write(2) cannot block                    */
	PFI_LOGFILE_PIPE,   /* neither, but it may raise SIGPIPE        */
	PFI_LOGFILE_SOCKET, /* send(2)                                  */
	PFI_LOGFILE_POLLED, /* a stranger's description: poll(2) first  */
};

struct pfi_logfile {
	int fd;
	atomic_int kind;  /* enum pfi_logfile_kind               */
	char *path;       /* absolute, own; NULL: a standard stream */
	atomic_uint lost; /* lines, in process `pid`                */
	atomic_int why;   /* a negative errno: the last one was     */
	atomic_int pid;
	atomic_bool torn; /* the last write ended inside a line     */
};

/* What is larger may be cut in two by a pipe. */
enum { PFI_LOGFILE_LINE_MAX = 4096 };

/* Opens `path`, or "-": a copy of `standard_fd`. 0 or a negative errno; on
 * failure there is nothing to close. */
int pfi_logfile_open(struct pfi_logfile *file, const char *path, int standard_fd);
void pfi_logfile_close(struct pfi_logfile *file);

/* Whether that would work, without making or writing anything: 0 or a negative errno. Of a
 * pipe it does not find out whether anybody reads it: that would end who does. */
int pfi_logfile_check(const char *path, int standard_fd);

/* See prefork_log_reopen(). */
int pfi_logfile_reopen(struct pfi_logfile *file);

/* Goes on in another file under the same number; `path` as for open. 0 or a
 * negative errno, and then nothing has changed. */
int pfi_logfile_move(struct pfi_logfile *file, const char *path, int standard_fd);

/* Writes whole lines, at most PFI_LOGFILE_LINE_MAX bytes, with one system call;
 * false, and `lines` counted, if they were lost. Neither SIGPIPE nor SIGXFSZ is raised. */
bool pfi_logfile_write(struct pfi_logfile *file, const char *bytes, size_t size, unsigned lines);

/* This process ignores SIGXFSZ from now on: writes to a regular file need not block it. */
void pfi_logfile_expect_ignored_signals(void);

/* The lines this process has lost, and starts counting anew. */
unsigned pfi_logfile_take_lost(struct pfi_logfile *file);

/* Puts back what could not be told after all. */
void pfi_logfile_count_lost(struct pfi_logfile *file, unsigned lines);

#endif
