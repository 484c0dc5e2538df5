/* Finds the epoll set of a descriptor, and the data of its entry, in /proc/self/fdinfo. */
#include "os/epoll.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_set(int directory, const char *name)
{
	char target[32];
	const ssize_t size = readlinkat(directory, name, target, sizeof target - 1);

	if (size < 0)
		return false;
	target[size] = 0;
	return strcmp(target, "anon_inode:[eventpoll]") == 0;
}

/* proc_pid_fdinfo(5) has a line "tfd: FD events: HEX data: HEX ..." for each descriptor in the set. */
static int read_member(const char *set, int fd, uint64_t *ret_data)
{
	char path[64], line[256];
	int r = -ENOENT;

	(void)snprintf(path, sizeof path, "/proc/self/fdinfo/%s", set);
	FILE *const file = fopen(path, "re");
	if (!file)
		return -errno;
	while (r < 0 && fgets(line, sizeof line, file)) {
		uint64_t data;
		int member;

		if (sscanf(line, "tfd: %d events: %*x data: %" SCNx64, &member, &data) == 2 && member == fd) {
			*ret_data = data;
			r = 0;
		}
	}
	(void)fclose(file);
	return r;
}

int pfi_epoll_find(int fd, int *ret_set, uint64_t *ret_data)
{
	DIR *const directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	int r = -ENOENT, set = -1;
	uint64_t data, found_data = 0;

	if (!directory)
		return -errno;
	while (r != -EEXIST && (entry = readdir(directory)) != NULL) {
		if (!is_set(dirfd(directory), entry->d_name) || read_member(entry->d_name, fd, &data) < 0)
			continue;
		r = r == 0 ? -EEXIST : 0;
		set = atoi(entry->d_name);
		found_data = data;
	}
	(void)closedir(directory);
	if (r < 0)
		return r;
	*ret_set = set;
	*ret_data = found_data;
	return 0;
}
