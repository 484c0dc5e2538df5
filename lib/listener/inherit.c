/* Parses the variables by which systemd, Server::Starter or another arbiter passes listening sockets, and makes
 * listeners of them. */
#include "listener/inherit.h"

#include "base/number.h"
#include "base/text.h"
#include "listener/hand_over.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/starter.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_FD = 3 }; /* 0 to 2 are the standard descriptors */

static int bad(const char *variable, const char *value, const char *reason)
{
	char bytes[512];
	struct pfi_text quoted;

	pfi_text_init(&quoted, bytes, sizeof bytes);
	pfi_text_add_quoted(&quoted, value);
	return prefork_fail(-EINVAL, "the environment has %s=%s: %s", variable, bytes, reason);
}

static void free_socket(struct pfi_inherited_socket *socket)
{
	free(socket->name);
	free(socket->path);
	free(socket->more);
}

static bool has_fd(const struct pfi_inherited_socket *socket, int fd)
{
	bool found = socket->fd == fd || (socket->file >= 0 && socket->file == fd);

	for (unsigned i = 0; i < socket->more_count; i++)
		found |= socket->more[i] == fd;
	return found;
}

static bool is_known(const struct pfi_inherited *inherited, int fd)
{
	for (size_t i = 0; i < inherited->count; i++) {
		if (has_fd(&inherited->sockets[i], fd))
			return true;
	}
	return false;
}

/* Whether a descriptor of the socket is there twice, or in another socket. */
static bool has_double(const struct pfi_inherited *inherited, const struct pfi_inherited_socket *socket)
{
	bool found = is_known(inherited, socket->fd) || (socket->file >= 0 && is_known(inherited, socket->file));

	found |= socket->file == socket->fd;
	for (unsigned i = 0; i < socket->more_count; i++) {
		const int fd = socket->more[i];

		found |= fd == socket->fd || fd == socket->file || is_known(inherited, fd);
		for (unsigned n = 0; n < i; n++)
			found |= socket->more[n] == fd;
	}
	return found;
}

/* Takes what `socket` owns. */
static int add(struct pfi_inherited *inherited, struct pfi_inherited_socket *socket, const char *variable,
	       const char *value)
{
	int r = socket->name ? 0 : prefork_fail(-ENOMEM, "out of memory");

	if (r == 0 && inherited->count == PFI_INHERITED_MAX)
		r = bad(variable, value, "more than 1024 sockets");
	if (r == 0 && has_double(inherited, socket))
		r = bad(variable, value, "the same descriptor is there twice");
	if (r < 0)
		free_socket(socket);
	else
		inherited->sockets[inherited->count++] = *socket;
	return r;
}

/* The name of the next descriptor, "unknown" if it has none. Advances *names. */
static char *next_name(const char **names)
{
	const size_t length = strcspn(*names, ":");
	char *name = length > 0 ? strndup(*names, length) : strdup("unknown");

	*names += length;
	if (**names == ':')
		++*names;
	return name;
}

static int parse_systemd(const struct pfi_inherit_variables *variables, pid_t self,
			 struct pfi_inherited *inherited)
{
	const char *const fds = variables->listen_fds;
	const char *names = variables->listen_fdnames ? variables->listen_fdnames : "";
	int64_t pid, count;

	if (!fds || !variables->listen_pid)
		return 0;
	if (pfi_parse_whole(variables->listen_pid, &pid) < 0 || pid <= 0 || pid > INT_MAX)
		return bad("LISTEN_PID", variables->listen_pid, "not a process id");
	if (pid != self)
		return 0;
	if (pfi_parse_whole(fds, &count) < 0 || count < 0 || count > PFI_INHERITED_MAX)
		return bad("LISTEN_FDS", fds, "not a number of sockets");
	for (int fd = FIRST_FD; fd < FIRST_FD + (int)count; fd++) {
		struct pfi_inherited_socket socket = { .fd = fd, .name = next_name(&names), .file = -1 };
		const int r = add(inherited, &socket, "LISTEN_FDS", fds);

		if (r < 0)
			return r;
	}
	if (*names)
		return bad("LISTEN_FDNAMES", variables->listen_fdnames, "more names than sockets");
	return 0;
}

/* A list of NAME=FD in one variable. */
struct list {
	const char *variable, *value;
	char separator;
	bool is_ours; /* %XX in a name stands for a byte, and more may follow FD (hand_over.h) */
};

static char *name_of(const struct list *list, const char *text, size_t length, int *error)
{
	*error = -ENOMEM;
	return list->is_ours ? pfi_hand_over_decode(text, length, error) : strndup(text, length);
}

/* One NAME=FD of `length` bytes. A name without codes may contain a =. */
static int parse_entry(const struct list *list, const char *entry, size_t length, struct pfi_inherited *inherited)
{
	const char *const equals = list->is_ours ? memchr(entry, '=', length) : memrchr(entry, '=', length);
	struct pfi_inherited_socket socket = { .fd = -1, .file = -1 };
	const char *why = "that is not a descriptor";
	int error, r;

	if (!equals || equals == entry)
		return bad(list->variable, list->value, "each entry must be NAME=FD");
	const size_t rest = length - (size_t)(equals - entry) - 1;
	if (!list->is_ours && memchr(equals + 1, ':', rest))
		return bad(list->variable, list->value, why);
	r = pfi_hand_over_parse(equals + 1, rest, &socket, &why);
	if (r == 0) {
		socket.name = name_of(list, entry, (size_t)(equals - entry), &error);
		if (!socket.name && error == -EINVAL) {
			r = -EINVAL;
			why = "two hexadecimal digits must follow %";
		}
	}
	if (r < 0) {
		free_socket(&socket);
		return r == -EINVAL ? bad(list->variable, list->value, why) : prefork_fail(r, "out of memory");
	}
	return add(inherited, &socket, list->variable, list->value);
}

static int parse_list(const struct list *list, struct pfi_inherited *inherited)
{
	const char *entry = list->value;

	if (!entry || !*entry)
		return 0;
	for (;;) {
		const size_t length = (size_t)(strchrnul(entry, list->separator) - entry);
		const int r = parse_entry(list, entry, length, inherited);

		if (r < 0)
			return r;
		if (!entry[length])
			return 0;
		entry += length + 1;
	}
}

static void forget(struct pfi_inherited *inherited)
{
	for (size_t i = 0; i < inherited->count; i++)
		free_socket(&inherited->sockets[i]);
	free(inherited->sockets);
	*inherited = (struct pfi_inherited){ 0 };
}

int pfi_inherit_parse(const struct pfi_inherit_variables *variables, pid_t self, struct pfi_inherited *ret)
{
	const struct list lists[] = {
		{ "PREFORK_FDS", variables->prefork_fds, ',', true },
		{ "SERVER_STARTER_PORT", variables->server_starter_port, ';', false },
	};
	struct pfi_inherited inherited = { .sockets = calloc(PFI_INHERITED_MAX, sizeof *inherited.sockets) };

	if (!inherited.sockets)
		return prefork_fail(-ENOMEM, "out of memory");
	int r = parse_systemd(variables, self, &inherited);
	for (size_t i = 0; r == 0 && i < sizeof lists / sizeof lists[0]; i++)
		r = parse_list(&lists[i], &inherited);
	if (r < 0)
		forget(&inherited); /* closes nothing: the numbers may be of any descriptor */
	else
		*ret = inherited;
	return r;
}

/* A wrong number must not close a file of the application, so only sockets are closed. */
static bool is_socket(int fd)
{
	int type;
	socklen_t size = sizeof type;

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

/* The same for the file of a unix socket, which is open with O_PATH. */
static bool is_path(int fd)
{
	struct stat status;
	const int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

	return flags >= 0 && (flags & O_PATH) && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* As sd_listen_fds(3): a program that is executed from here on does not get them. A process that the application forks
 * closes what is entered; an application that is preloaded may fork before the listeners are opened. */
static void take_fd(int fd, enum pfi_fd_kind kind)
{
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	(void)pfi_fdtable_adopt(fd, kind); /* without memory: when the listener is opened */
}

static void take_fds(const struct pfi_inherited_socket *socket)
{
	if (is_socket(socket->fd))
		take_fd(socket->fd, PFI_FD_LISTENER);
	for (unsigned i = 0; i < socket->more_count; i++) {
		if (is_socket(socket->more[i]))
			take_fd(socket->more[i], PFI_FD_LISTENER);
	}
	if (is_path(socket->file))
		take_fd(socket->file, PFI_FD_PATH);
}

/* What this process has opened itself since its start was not inherited: the number in the variable is wrong. */
static int check_fd(int fd)
{
	const enum pfi_fd_kind kind = pfi_fdtable_look_up(fd).kind;

	if (fd < 0 || kind == PFI_FD_NONE)
		return 0;
	return prefork_fail(-EINVAL, "the environment passes descriptor %d as an inherited socket, and it is %s of this process",
			    fd, pfi_fd_kind_name(kind));
}

static int check_fds(const struct pfi_inherited_socket *socket)
{
	int r = check_fd(socket->fd);

	for (unsigned i = 0; r == 0 && i < socket->more_count; i++)
		r = check_fd(socket->more[i]);
	return r == 0 ? check_fd(socket->file) : r;
}

int pfi_inherit_take(bool is_upgrade, struct pfi_inherited *ret)
{
	const struct pfi_inherit_variables variables = {
		.listen_pid = getenv("LISTEN_PID"),
		.listen_fds = getenv("LISTEN_FDS"),
		.listen_fdnames = getenv("LISTEN_FDNAMES"),
		.prefork_fds = getenv("PREFORK_FDS"),
		.server_starter_port = getenv("SERVER_STARTER_PORT"),
	};
	int r = pfi_inherit_parse(&variables, getpid(), ret);

	pfi_starter_forget_sockets();
	for (size_t i = 0; r == 0 && i < ret->count; i++)
		r = check_fds(&ret->sockets[i]);
	if (r < 0)
		forget(ret);
	for (size_t i = 0; r == 0 && i < ret->count; i++)
		take_fds(&ret->sockets[i]);
	if (r == 0)
		ret->is_upgrade = is_upgrade;
	return r;
}

static int adopt(const struct pfi_inherited *inherited, struct pfi_inherited_socket *socket,
		 struct prefork_listener **ret)
{
	int r = pfi_listener_adopt(socket->fd, socket->name, ret);

	if (r < 0)
		return r;
	socket->fd = -1;
	r = pfi_hand_over_take(*ret, socket, inherited->is_upgrade);
	if (r < 0) {
		const char *const name = prefork_listener_name(*ret);

		(void)prefork_fail(r, "cannot take over the sockets of %s: %s", name, strerror(-r));
		pfi_listener_close(*ret);
	}
	return r;
}

static bool fits(const struct pfi_inherited_socket *socket, const struct pfi_address *address, const char *name)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t size = sizeof bound;

	if (socket->fd < 0)
		return false;
	if (strcmp(socket->name, name) == 0 || (address->kind == PFI_ADDRESS_FD && socket->fd == address->fd))
		return true;
	return getsockname(socket->fd, (struct sockaddr *)&bound, &size) == 0 &&
	       pfi_address_equal(&bound, size, &address->socket, address->socket_size);
}

int pfi_inherit_match(struct pfi_inherited *inherited, const struct pfi_address *address, const char *name,
                      struct prefork_listener **ret)
{
	for (size_t i = 0; i < inherited->count; i++) {
		if (fits(&inherited->sockets[i], address, name))
			return adopt(inherited, &inherited->sockets[i], ret);
	}
	return 1;
}

int pfi_inherit_next(struct pfi_inherited *inherited, struct prefork_listener **ret)
{
	for (size_t i = 0; i < inherited->count; i++) {
		if (inherited->sockets[i].fd >= 0)
			return adopt(inherited, &inherited->sockets[i], ret);
	}
	return 1;
}

void pfi_inherit_finish(struct pfi_inherited *inherited)
{
	for (size_t i = 0; i < inherited->count; i++) {
		struct pfi_inherited_socket *const socket = &inherited->sockets[i];

		if (is_socket(socket->fd))
			pfi_close(&socket->fd);
		for (unsigned n = 0; n < socket->more_count; n++) {
			if (is_socket(socket->more[n]))
				pfi_close(&socket->more[n]);
		}
		if (is_path(socket->file))
			pfi_close(&socket->file);
	}
	forget(inherited);
}
