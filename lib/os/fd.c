/* Closes descriptors, sets their flags, counts them, and raises RLIMIT_NOFILE. */
#include "os/fd.h"

#include "os/fdtable.h"

#include <prefork/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

void pfi_close(int *fd)
{
	const int saved_errno = errno;

	/* Not again after EINTR: Linux has freed the number by then (close(2)), and another thread may have got it. */
	if (*fd >= 0)
		pfi_fdtable_close(*fd);
	*fd = -1;
	errno = saved_errno;
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
	const int before = fcntl(fd, get);

	if (before < 0)
		return -errno;
	const int after = on ? before | flag : before & ~flag;
	if (after != before && fcntl(fd, set, after) < 0)
		return -errno;
	return 0;
}

int pfi_fd_set_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int pfi_fd_set_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int pfi_fd_count(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = -1; /* without the descriptor of the directory */

	if (!directory)
		return -errno;
	for (const struct dirent *entry; (entry = readdir(directory));)
		count += entry->d_name[0] != '.';
	(void)closedir(directory);
	return count;
}

int pfi_fd_reserve(uint64_t wanted, uint64_t *ret_limit)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return prefork_fail(-errno, "cannot read the limit of open files");
	if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
		const struct rlimit raised = {
			.rlim_cur = wanted < limit.rlim_max ? (rlim_t)wanted : limit.rlim_max,
			.rlim_max = limit.rlim_max,
		};

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	*ret_limit = limit.rlim_cur;
	if (limit.rlim_cur >= wanted)
		return 0;
	return prefork_fail(-EMFILE,
	                    "%llu open files are needed, but the limit is %llu: raise it (ulimit -n, "
	                    "LimitNOFILE=) or use fewer workers",
	                    (unsigned long long)wanted, (unsigned long long)limit.rlim_cur);
}

int pfi_fd_expand_table(int fd, uint64_t count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (count > limit.rlim_cur)
		count = limit.rlim_cur;
	if (count == 0 || count > INT_MAX)
		return -EINVAL;
	int last = fcntl(fd, F_DUPFD_CLOEXEC, (int)(count - 1));
	if (last < 0)
		return -errno;
	pfi_close(&last);
	return 0;
}
