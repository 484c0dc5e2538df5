/*
 * tls_watch -- which directories may change when the files of TLS change.
 *
 * Files are replaced by rename(2), and volumes by a change of a symbolic link ("..data" in Kubernetes, "live" of
 * certbot): so directories are watched (inotify(7)) and not files: that of each file, and that of each symbolic link in
 * its path.
 */
#ifndef TLS_TLS_WATCH_H
#define TLS_TLS_WATCH_H

#include "tls/tls_rows.h"

#include <stdbool.h>

/* A *new* inotify descriptor, or a negative errno. */
int pfi_tls_watch_open(void);

/* Watch for all files that these settings name. Directories that are watched already stay so. */
void pfi_tls_watch_add(int inotify, const struct pfi_tls_settings *values);

/* Drop what has been reported. */
void pfi_tls_watch_clear(int inotify);

#endif
