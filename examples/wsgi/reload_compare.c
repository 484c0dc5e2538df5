/* Compares scans of --reload with each other, and with a time. */
#include "reload_files.h"
#include "reload_scan.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

int wsgi_reload_compare_files(const void *a, const void *b)
{
	return strcmp(((const struct wsgi_reload_file *)a)->path, ((const struct wsgi_reload_file *)b)->path);
}

static bool is_same(const struct wsgi_reload_file *a, const struct wsgi_reload_file *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* False: the file may be there, in a directory that this scan has left out. */
static bool covers(const struct wsgi_reload_scan *self, const char *path)
{
	const char *const end = strrchr(path, '/');
	char directory[PATH_MAX];

	if (!self->is_limited)
		return true;
	(void)snprintf(directory, sizeof directory, "%.*s", end == path ? 1 : (int)(end - path), path);
	return wsgi_text_set_has(&self->directories, directory);
}

const char *wsgi_reload_scan_difference(const struct wsgi_reload_scan *before, const struct wsgi_reload_scan *after)
{
	size_t i = 0, j = 0;

	while (i < before->file_count || j < after->file_count) {
		const struct wsgi_reload_file *const a = i < before->file_count ? &before->files[i] : NULL;
		const struct wsgi_reload_file *const b = j < after->file_count ? &after->files[j] : NULL;
		const int order = a == NULL ? 1 : b == NULL ? -1 : wsgi_reload_compare_files(a, b);

		if (order < 0 ? covers(after, a->path) : order > 0 ? covers(before, b->path) : !is_same(a, b))
			return order < 0 ? a->path : b->path;
		i += order <= 0;
		j += order >= 0;
	}
	return NULL;
}

bool wsgi_reload_is_later(const struct timespec *one, const struct timespec *other)
{
	return one->tv_sec != other->tv_sec ? one->tv_sec > other->tv_sec : one->tv_nsec > other->tv_nsec;
}

const char *wsgi_reload_scan_newer(const struct wsgi_reload_scan *self, const struct timespec *time)
{
	for (size_t i = 0; i < self->file_count; i++) {
		if (wsgi_reload_is_later(&self->files[i].replaced, time))
			return self->files[i].path;
	}
	return self->link.path != NULL && wsgi_reload_is_later(&self->link.replaced, time) ? self->link.path : NULL;
}
