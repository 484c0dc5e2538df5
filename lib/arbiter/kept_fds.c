/* Keeps descriptors of the application for the next binary upgrade. */
#include "arbiter/kept_fds.h"

#include "arbiter/arbiter.h"
#include "base/required.h"
#include "os/fd.h"
#include "os/fdtable.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_name(const char *name, size_t length)
{
	return length > 0 && length <= PFI_KEPT_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") >= length;
}

/* The entry with this name, or an unused one; NULL: there is none. */
static struct pfi_kept_fd *find(struct prefork_arbiter *arbiter, const char *name, size_t length)
{
	struct pfi_kept_fd *unused = NULL;

	for (unsigned i = 0; i < PFI_KEPT_FDS_MAX; i++) {
		struct pfi_kept_fd *const entry = &arbiter->kept_fds.list[i];

		if (strncmp(entry->name, name, length) == 0 && entry->name[length] == '\0')
			return entry;
		if (entry->name[0] == '\0' && unused == NULL)
			unused = entry;
	}
	return unused;
}

static int keep(struct prefork_arbiter *arbiter, const char *name, size_t length, int fd)
{
	struct pfi_kept_fd *const entry = find(arbiter, name, length);
	int r;

	if (entry == NULL)
		return -ENOSPC;
	r = pfi_fd_set_cloexec(fd, true);
	if (r == 0)
		r = pfi_fdtable_adopt(fd, PFI_FD_KEPT);
	if (r < 0)
		return r;
	pfi_fdtable_set_owner(fd, arbiter->id, PFI_FD_NO_SLOT);
	if (entry->name[0] != '\0')
		pfi_close(&entry->fd);
	memcpy(entry->name, name, length);
	entry->name[length] = '\0';
	entry->fd = fd;
	return 0;
}

int prefork_arbiter_keep_fd(struct prefork_arbiter *arbiter, const char *name, int fd)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	if (!is_name(name, strlen(name)))
		return prefork_fail(-EINVAL, "prefork_arbiter_keep_fd(): \"%s\" is not a name of lower case letters, digits, - and _",
				    name);

	const int r = keep(arbiter, name, strlen(name), fd);

	return r < 0 ? prefork_fail(r, "prefork_arbiter_keep_fd(): descriptor %d cannot be kept", fd) : 0;
}

int prefork_arbiter_kept_fd(const struct prefork_arbiter *arbiter, const char *name)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	for (unsigned i = 0; i < PFI_KEPT_FDS_MAX; i++) {
		const struct pfi_kept_fd *const entry = &arbiter->kept_fds.list[i];

		if (entry->name[0] != '\0' && strcmp(entry->name, name) == 0)
			return entry->fd;
	}
	return -ENOENT;
}

void pfi_kept_fds_take(struct prefork_arbiter *arbiter, const char *text)
{
	while (text != NULL && *text != '\0') {
		const size_t length = strcspn(text, "=");
		char *end = NULL;
		const long fd = text[length] == '=' ? strtol(text + length + 1, &end, 10) : -1;

		if (fd > STDERR_FILENO && fd <= INT_MAX && is_name(text, length))
			(void)keep(arbiter, text, length, (int)fd);
		text = strchr(text, ',');
		text += text != NULL;
	}
}

unsigned pfi_kept_fds_write(const struct prefork_arbiter *arbiter, FILE *out, int *fds)
{
	unsigned count = 0;

	for (unsigned i = 0; i < PFI_KEPT_FDS_MAX; i++) {
		const struct pfi_kept_fd *const entry = &arbiter->kept_fds.list[i];

		if (entry->name[0] == '\0' || entry->fd <= STDERR_FILENO)
			continue;
		(void)fprintf(out, "%s%s=%d", count > 0 ? "," : "", entry->name, entry->fd);
		fds[count++] = entry->fd;
	}
	return count;
}

void pfi_kept_fds_close(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < PFI_KEPT_FDS_MAX; i++) {
		struct pfi_kept_fd *const entry = &arbiter->kept_fds.list[i];

		if (entry->name[0] != '\0')
			pfi_close(&entry->fd);
		entry->name[0] = '\0';
	}
}
