/* Watches the directories of certificates and keys with inotify. */
#include "tls/tls_watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 16 }; /* followed, as the kernel follows 40 */

int pfi_tls_watch_open(void)
{
	const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A directory that cannot be watched (a limit of inotify, permissions) leaves reloads by HUP. */
static void watch(int inotify, const char *directory)
{
	(void)inotify_add_watch(inotify, directory, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB | IN_ONLYDIR);
}

/* The directory in which the last part of `path` is. */
static void write_directory(const char *path, char ret[PATH_MAX])
{
	const char *const slash = strrchr(path, '/');

	if (slash == NULL)
		(void)snprintf(ret, PATH_MAX, ".");
	else
		(void)snprintf(ret, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static void watch_path(int inotify, const char *path, int links_left);

static void watch_target(int inotify, const char *directory, const char *target, int links_left)
{
	char path[PATH_MAX];
	const int length = target[0] == '/' ? snprintf(path, sizeof path, "%s", target) :
					      snprintf(path, sizeof path, "%s/%s", directory, target);

	if (links_left > 0 && length > 0 && (size_t)length < sizeof path)
		watch_path(inotify, path, links_left - 1);
}

/* The directory of the file and, for each part of the path that is a symbolic link, the directory of that link and
 * those of its target. */
static void watch_path(int inotify, const char *path, int links_left)
{
	char part[PATH_MAX], directory[PATH_MAX], target[PATH_MAX];
	size_t end = 0;

	while (path[end] != '\0' && end < sizeof part - 1) {
		end += strspn(path + end, "/");
		end += strcspn(path + end, "/");
		(void)snprintf(part, sizeof part, "%.*s", (int)end, path);

		const ssize_t size = readlink(part, target, sizeof target - 1);

		if (size <= 0 && path[end] != '\0')
			continue;
		write_directory(part, directory);
		watch(inotify, directory);
		if (size > 0) {
			target[size] = '\0';
			watch_target(inotify, directory, target, links_left);
		}
	}
}

/* The directory itself, and those of certbot and Kubernetes in it. */
static void watch_certificates(int inotify, const char *directory)
{
	DIR *const open_directory = opendir(directory);
	const struct dirent *entry;
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof path, "%s/.", directory) < sizeof path)
		watch_path(inotify, path, LINKS_MAX);
	while (open_directory != NULL && (entry = readdir(open_directory)) != NULL) {
		if (entry->d_name[0] == '.' || (size_t)snprintf(path, sizeof path, "%s/%s/.", directory, entry->d_name) >= sizeof path)
			continue;
		watch(inotify, path); /* IN_ONLYDIR */
	}
	if (open_directory != NULL)
		(void)closedir(open_directory);
}

void pfi_tls_watch_add(int inotify, const struct pfi_tls_settings *values)
{
	const char *const files[] = { values->certfile, values->keyfile, values->ca_certs, values->ocsp_file };

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		if (files[i] != NULL)
			watch_path(inotify, files[i], LINKS_MAX);
	}
	if (values->certificates != NULL)
		watch_certificates(inotify, values->certificates);
}

void pfi_tls_watch_clear(int inotify)
{
	char bytes[4096];

	while (read(inotify, bytes, sizeof bytes) > 0)
		continue;
}
