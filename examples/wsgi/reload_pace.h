/*
 * reload_pace -- after a scan of --reload: whether to reload now, and when to scan again. Without system calls.
 */
#ifndef WSGI_RELOAD_PACE_H
#define WSGI_RELOAD_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Times are those of one clock, in milliseconds. */
struct wsgi_reload_scanned {
	int64_t now_ms;
	int64_t scan_ms;    /* how long the scan took                                     */
	int64_t changed_ms; /* when the first change since the last reload was found; 0: none */
	bool is_equal;      /* to the scan before                                         */
	bool polls;         /* nothing reports changes                                    */
};

struct wsgi_reload_next {
	bool reloads;
	int64_t due_ms; /* of the next scan; 0: when a change is reported */
};

struct wsgi_reload_next wsgi_reload_pace(const struct wsgi_reload_scanned *scanned);

/** The time between a report of a change and a scan, or between two scans of which the first has found a change. */
int64_t wsgi_reload_quiet_ms(int64_t scan_ms);

#endif
