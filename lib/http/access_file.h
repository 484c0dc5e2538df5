/*
 * access_file -- the file of the access log, as the arbiter has it open: workers inherit it, since they may not be able to
 * open it themselves after they have dropped privileges.
 */
#ifndef HTTP_ACCESS_FILE_H
#define HTTP_ACCESS_FILE_H

struct prefork_log;

struct pfi_access_file {
	struct prefork_log *log; /* NULL: there is none */
	char *path;
};

/* Before a fork: have the file at `path` open, and no other. NULL, "-", or a file that cannot be opened: none; the worker
 * then opens it, or reports why it cannot. */
void pfi_access_file_follow(struct pfi_access_file *file, const char *path);

/* The log, if it is that of `path`, else NULL. */
struct prefork_log *pfi_access_file_find(const struct pfi_access_file *file, const char *path);

/* After a rotation. An error is left to the workers to report. */
void pfi_access_file_reopen(struct pfi_access_file *file);

void pfi_access_file_close(struct pfi_access_file *file);

#endif
