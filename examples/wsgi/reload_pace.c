/* When --reload scans and reloads. */
#include "reload_pace.h"

enum {
	QUIET_MS = 50,   /* editors and checkouts write several files: wait until two scans are equal */
	DELAY_MS = 2000, /* and if each scan differs, because something writes all the time, reload after this time */
	POLL_MS = 1000,  /* as gunicorn */
	REST = 10,       /* polls are at least this number of times as far apart as a scan takes */
};

static int64_t longer(int64_t one, int64_t other)
{
	return one > other ? one : other;
}

/* Scans that follow each other take at most half of the time. */
int64_t wsgi_reload_quiet_ms(int64_t scan_ms)
{
	return longer(QUIET_MS, scan_ms);
}

struct wsgi_reload_next wsgi_reload_pace(const struct wsgi_reload_scanned *scanned)
{
	const bool is_late = scanned->now_ms - scanned->changed_ms >= DELAY_MS;
	struct wsgi_reload_next next = { .reloads = scanned->changed_ms != 0 && (scanned->is_equal || is_late) };

	if (!scanned->is_equal)
		next.due_ms = scanned->now_ms + wsgi_reload_quiet_ms(scanned->scan_ms);
	else if (scanned->polls)
		next.due_ms = scanned->now_ms + longer(POLL_MS, REST * scanned->scan_ms);
	return next;
}
