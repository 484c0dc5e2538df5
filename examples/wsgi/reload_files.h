/*
 * reload_files -- what --reload watches: the Python files below directories, and files by pattern.
 *
 * A scan holds the identity of each file (inode, size, time of the last change), so that two scans show what has changed,
 * whatever way an editor has written it. It does not know how it is triggered: reloader.c does.
 *
 * Paths are absolute. Symbolic links to directories and files are followed. Hidden directories, __pycache__, node_modules
 * and virtualenvs are left out of the trees, and of what ** stands for. A link may lead to a large tree, such as /: a scan has a
 * limit of directories, and takes files that are named first, then trees, patterns, and where links in trees lead.
 */
#ifndef WSGI_RELOAD_FILES_H
#define WSGI_RELOAD_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* What a setting names. All strings are *borrowed*. */
struct wsgi_reload_item {
	const char *base;    /* an absolute path; *, ? and [ are part of the names                                   */
	const char *pattern; /* below `base`, each part as of fnmatch(3), ** is any number of directories; "": `base` itself */
};

struct wsgi_reload_places {
	const char *const *trees; /* directories with code, and those below */
	size_t tree_count;
	const struct wsgi_reload_item *items;
	size_t item_count;
	size_t directories_max; /* the limit of a scan */
};

struct wsgi_reload_scan;
struct timespec;

/** Look at all files. `*ret` is a *new* object. -ENOMEM. What does not exist, or cannot be read, is left out. */
int wsgi_reload_scan_create(const struct wsgi_reload_places *places, struct wsgi_reload_scan **ret);

/** NULL is allowed. */
void wsgi_reload_scan_destroy(struct wsgi_reload_scan *scan);

/** Whether the limit was reached, and directories are left out. */
bool wsgi_reload_scan_is_limited(const struct wsgi_reload_scan *scan);

/** The path of a file that has appeared, vanished or changed between two scans, or NULL. It belongs to the scan that has
 *  the file. A file whose directory one of the scans has left out at its limit is no difference. */
const char *wsgi_reload_scan_difference(const struct wsgi_reload_scan *before, const struct wsgi_reload_scan *after);

/** The path of a file or link that was changed or replaced after a time of CLOCK_REALTIME, by the clock of its file system, or
 *  NULL. */
const char *wsgi_reload_scan_newer(const struct wsgi_reload_scan *scan, const struct timespec *time);

/** Directory `index` in which something can happen that changes the next scan; NULL after the last. Each path is in the list
 *  once. */
const char *wsgi_reload_scan_directory(const struct wsgi_reload_scan *scan, size_t index);

/** Whether something that happens to the entry `name`, which is not a directory, of one of these directories can change the
 *  next scan. */
bool wsgi_reload_scan_concerns(const struct wsgi_reload_scan *scan, const char *name);

/** Whether a pattern has a wildcard. */
bool wsgi_reload_is_pattern(const char *path);

#endif
