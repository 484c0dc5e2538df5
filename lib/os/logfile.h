/*
 * logfile -- an append-only file; a write never blocks.
 *
 * Writes to regular files do not block, and fail with ENOSPC if the disk is full. The open file description of a pipe
 * or a terminal is shared with other processes, so that O_NONBLOCK must not be set on it; the file is opened again
 * through /proc/self/fd. Sockets are written with MSG_DONTWAIT. If none of these is possible, poll(2) is called before
 * each write.
 *
 * Threads: any may write; one at a time may reopen, which replaces the file of the descriptor. Fork: the child counts
 * its own lost lines.
 */
#ifndef OS_LOGFILE_H
#define OS_LOGFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum pfi_logfile_kind {
	PFI_LOGFILE_PLAIN,  /* write(2) does not block                              */
	PFI_LOGFILE_PIPE,   /* the same, but it may raise SIGPIPE                   */
	PFI_LOGFILE_SOCKET, /* send(2)                                              */
	PFI_LOGFILE_POLLED, /* a shared open file description: poll(2), then write  */
};

struct pfi_logfile {
	int fd;
	atomic_int kind;  /* enum pfi_logfile_kind                     */
	char *path;       /* absolute, owned; NULL: a standard stream  */
	atomic_uint lost; /* lines, in process `pid`                   */
	atomic_int why;   /* the negative errno of the last lost line  */
	atomic_int pid;
	atomic_bool torn; /* the last write ended within a line        */
};

/* A pipe may split longer writes (PIPE_BUF). */
enum { PFI_LOGFILE_LINE_MAX = 4096 };

/* Open `path`; "-": duplicate `standard_fd`. 0 or a negative errno. */
int pfi_logfile_open(struct pfi_logfile *file, const char *path, int standard_fd);
void pfi_logfile_close(struct pfi_logfile *file);

/* Whether pfi_logfile_open() would succeed, without creating or writing anything: 0 or a negative errno. A pipe without
 * a reader is not detected: to open and close it would end a reader that waits for the first writer. */
int pfi_logfile_check(const char *path, int standard_fd);

/* Open the file of the log descriptor `fd` again for writes that wait: only if it is a pipe or a terminal. A descriptor
 * that the caller closes; -ENOTSUP: another kind of file, whose writes do not depend on it; or another negative errno. */
int pfi_logfile_open_waiting(int fd);

/* See prefork_log_reopen(). */
int pfi_logfile_reopen(struct pfi_logfile *file);

/* Between begin and end, in one thread: which descriptors pfi_logfile_reopen() has opened again, or were adopted, their
 * number in *ret_count. */
enum { PFI_LOGFILE_REOPENED_MAX = 16 };
void pfi_logfile_begin_reopen(void);
void pfi_logfile_end_reopen(void);
const int *pfi_logfile_reopened(size_t *ret_count);

/* Another process has opened the file of the log that has descriptor `fd` here: go on in `opened`, which is closed. Until
 * end, pfi_logfile_reopen() of that log opens nothing. If `fd` is no log here, nothing happens. */
void pfi_logfile_adopt(int fd, int opened);

/* Continue in another file, with the same descriptor; arguments as for pfi_logfile_open(). 0; a negative errno, and
 * nothing has changed. */
int pfi_logfile_move(struct pfi_logfile *file, const char *path, int standard_fd);

/* Write complete lines, at most PFI_LOGFILE_LINE_MAX bytes, with one system call. False if they were lost, in which
 * case `lines` is counted. SIGPIPE and SIGXFSZ are not raised. */
bool pfi_logfile_write(struct pfi_logfile *file, const char *bytes, size_t size, unsigned lines);

/* Give the log files that this process has created since the last call, and that are of the program or of `arbiter`
 * (os/fdtable.h), to this user and group. */
void pfi_logfiles_give(uint32_t arbiter, uid_t uid, gid_t gid);

/* This process ignores SIGXFSZ from now on: a write to a regular file need not block it. */
void pfi_logfile_expect_ignored_signals(void);

/* Return the number of lines that this process has lost, and set it to 0. */
unsigned pfi_logfile_take_lost(struct pfi_logfile *file);

/* Count lines as lost. */
void pfi_logfile_count_lost(struct pfi_logfile *file, unsigned lines);

#endif
