/* Parses the variables by which systemd, Server::Starter or another arbiter passes listening sockets, and makes
 * listeners of them. */
#include "listener/inherit.h"

#include "base/number.h"
#include "base/text.h"
#include "os/fd.h"
#include "os/starter.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_FD = 3, FD_MAX = 1 << 20 }; /* 0 to 2 are the standard descriptors */

static int bad(const char *variable, const char *value, const char *reason)
{
	char bytes[512];
	struct pfi_text quoted;

	pfi_text_init(&quoted, bytes, sizeof bytes);
	pfi_text_add_quoted(&quoted, value);
	return prefork_fail(-EINVAL, "the environment has %s=%s: %s", variable, bytes, reason);
}

/* Takes `name`. */
static int add(struct pfi_inherited *inherited, int fd, char *name, const char *variable, const char *value)
{
	int r = name ? 0 : prefork_fail(-ENOMEM, "out of memory");

	if (r == 0 && inherited->count == PFI_INHERITED_MAX)
		r = bad(variable, value, "more than 1024 sockets");
	for (size_t i = 0; r == 0 && i < inherited->count; i++) {
		if (inherited->sockets[i].fd == fd)
			r = bad(variable, value, "the same descriptor is there twice");
	}
	if (r < 0) {
		free(name);
		return r;
	}
	inherited->sockets[inherited->count++] = (struct pfi_inherited_socket){ .fd = fd, .name = name };
	return 0;
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
		const int r = add(inherited, fd, next_name(&names), "LISTEN_FDS", fds);

		if (r < 0)
			return r;
	}
	if (*names)
		return bad("LISTEN_FDNAMES", variables->listen_fdnames, "more names than sockets");
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode %XX in `length` bytes. NULL and -EINVAL or -ENOMEM in *error. */
static char *decode(const char *text, size_t length, int *error)
{
	char *name = malloc(length + 1);
	size_t used = 0;

	*error = -ENOMEM;
	for (size_t i = 0; name && i < length; i++) {
		char c = text[i];

		if (c == '%') {
			const int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
			const int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0)) {
				*error = -EINVAL;
				free(name);
				return NULL;
			}
			c = (char)(high * 16 + low);
			i += 2;
		}
		name[used++] = c;
	}
	if (name)
		name[used] = 0;
	return name;
}

/* A list of NAME=FD in one variable. */
struct list {
	const char *variable, *value;
	char separator;
	bool has_codes; /* %XX in a name stands for a byte */
};

static char *name_of(const struct list *list, const char *text, size_t length, int *error)
{
	*error = -ENOMEM;
	return list->has_codes ? decode(text, length, error) : strndup(text, length);
}

/* One NAME=FD of `length` bytes. A name without codes may contain a =. */
static int parse_entry(const struct list *list, const char *entry, size_t length, struct pfi_inherited *inherited)
{
	const char *const equals = list->has_codes ? memchr(entry, '=', length) : memrchr(entry, '=', length);
	char number[16];
	int64_t fd;
	int error;

	if (!equals || equals == entry)
		return bad(list->variable, list->value, "each entry must be NAME=FD");
	const size_t digits = length - (size_t)(equals - entry) - 1;
	if (digits >= sizeof number)
		return bad(list->variable, list->value, "that is not a descriptor");
	memcpy(number, equals + 1, digits);
	number[digits] = 0;
	if (pfi_parse_whole(number, &fd) < 0 || fd < FIRST_FD || fd > FD_MAX)
		return bad(list->variable, list->value, "that is not a descriptor");
	char *name = name_of(list, entry, (size_t)(equals - entry), &error);
	if (!name && error == -EINVAL)
		return bad(list->variable, list->value, "two hexadecimal digits must follow %");
	return add(inherited, (int)fd, name, list->variable, list->value);
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
		free(inherited->sockets[i].name);
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

int pfi_inherit_take(struct pfi_inherited *ret)
{
	const struct pfi_inherit_variables variables = {
		.listen_pid = getenv("LISTEN_PID"),
		.listen_fds = getenv("LISTEN_FDS"),
		.listen_fdnames = getenv("LISTEN_FDNAMES"),
		.prefork_fds = getenv("PREFORK_FDS"),
		.server_starter_port = getenv("SERVER_STARTER_PORT"),
	};
	const int r = pfi_inherit_parse(&variables, getpid(), ret);

	pfi_starter_forget_sockets();
	/* As sd_listen_fds(3): a program that is executed from here on does not get them. */
	for (size_t i = 0; r == 0 && i < ret->count; i++) {
		if (is_socket(ret->sockets[i].fd))
			(void)fcntl(ret->sockets[i].fd, F_SETFD, FD_CLOEXEC);
	}
	return r;
}

static int adopt(struct pfi_inherited_socket *socket, struct prefork_listener **ret)
{
	const int r = pfi_listener_adopt(socket->fd, socket->name, ret);

	if (r == 0)
		socket->fd = -1;
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
			return adopt(&inherited->sockets[i], ret);
	}
	return 1;
}

int pfi_inherit_next(struct pfi_inherited *inherited, struct prefork_listener **ret)
{
	for (size_t i = 0; i < inherited->count; i++) {
		if (inherited->sockets[i].fd >= 0)
			return adopt(&inherited->sockets[i], ret);
	}
	return 1;
}

void pfi_inherit_finish(struct pfi_inherited *inherited)
{
	for (size_t i = 0; i < inherited->count; i++) {
		if (is_socket(inherited->sockets[i].fd))
			pfi_close(&inherited->sockets[i].fd);
	}
	forget(inherited);
}
