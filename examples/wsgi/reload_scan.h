/*
 * reload_scan -- what a scan of --reload (reload_files.h) has found. For its own files.
 */
#ifndef WSGI_RELOAD_SCAN_H
#define WSGI_RELOAD_SCAN_H

#include "text_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

struct wsgi_reload_file {
	char *path;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
	struct timespec replaced; /* also by a rename that keeps the time of the last change; 0 for a directory */
};

struct wsgi_reload_scan {
	struct wsgi_reload_file *files; /* sorted by path */
	size_t file_count, file_space;
	struct wsgi_text_set directories;
	struct wsgi_text_set names;    /* of entries to look at, besides those that is_code() */
	struct wsgi_text_set patterns; /* of such names, for fnmatch(3)                       */
	struct wsgi_text_set links; /* to directories: walked last, so that a directory has its own path if it has one in a tree */
	struct wsgi_text_set visited; /* directories by what they are, whatever path leads to them */
	struct wsgi_reload_file link;  /* path and `replaced` of the one that was replaced last; NULL: there is none */
	size_t directories_max;
	bool is_limited;
};

/* By path, for qsort(3). */
int wsgi_reload_compare_files(const void *a, const void *b);

bool wsgi_reload_is_later(const struct timespec *one, const struct timespec *other);

#endif
