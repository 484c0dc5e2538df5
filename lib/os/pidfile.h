/*
 * pidfile -- the file that names this process for scripts, and the lock that keeps a second server out.
 *
 * The lock (flock(2)) belongs to the inode: the kernel releases it when the last descriptor of the open file description
 * is closed, so a file that a killed server has left is recognised by its free lock, and never by the number in it,
 * which may be the pid of another process by now. The file gets its name only after it is complete and locked: a reader
 * never sees it empty, except for a moment on a file system without hard links.
 *
 * One thread. Fork: the child has the lock, too, until it closes the descriptor; workers do so at their start.
 */
#ifndef OS_PIDFILE_H
#define OS_PIDFILE_H

#include <sys/types.h>

struct pfi_pidfile {
	int fd;     /* -1: there is none                        */
	char *path; /* absolute, own                            */
	pid_t pid;  /* of the process that made it: only it removes the file */
};

/* All zero but for the descriptor. */
#define PFI_NO_PIDFILE ((struct pfi_pidfile){ .fd = -1 })

/* Make and lock the file. A relative path is relative to the working directory. 0, or a negative errno with an error
 * message; then *pidfile is PFI_NO_PIDFILE:
 *   -EEXIST  another process has locked it: the message names its pid
 *   -EINVAL  there is a file of that name that holds no pid: it stays */
int pfi_pidfile_create(struct pfi_pidfile *pidfile, const char *path);

/* Give the file the name `path`, in place of the file that has it; the lock stays. 0, or a negative errno with an error
 * message, and then nothing has changed. */
int pfi_pidfile_rename(struct pfi_pidfile *pidfile, const char *path);

/* Remove the file, unless another one has its name by now, and release the lock. */
void pfi_pidfile_remove(struct pfi_pidfile *pidfile);

/* Remove the pid file of that name if no process has locked it. What is no pid file stays. 0; -EAGAIN: it is locked. */
int pfi_pidfile_remove_stale(const char *path);

/* Whether a file could be made there once no server has locked it: 0, or a negative errno with an error message.
 * Changes nothing. */
int pfi_pidfile_check(const char *path);

/* The pid in the file, whether or not its process is alive: 0 or a negative errno; -EINVAL: it holds no pid. */
int pfi_pidfile_read(const char *path, pid_t *ret);

/* The process that has locked the file: its pid, as it has written it, and the inode of the file. 0, or a negative errno
 * with an error message; -ESRCH: no process has locked it, its server is gone. */
int pfi_pidfile_find_owner(const char *path, pid_t *ret_pid, ino_t *ret_inode);

#endif
