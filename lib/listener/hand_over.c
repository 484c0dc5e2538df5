/* Writes a listener as an entry of PREFORK_FDS for the new arbiter, parses such entries, and makes listeners of them. */
#include "listener/hand_over.h"

#include "base/number.h"
#include "listener/inherit.h"
#include "listener/reuseport.h"
#include "os/fd.h"
#include "os/fdtable.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_FD = 3, FD_MAX = 1 << 20, DIGITS_MAX = 15 }; /* 0 to 2 are the standard descriptors */

/* --- writing */

/* Letters, digits and what addresses and paths are mostly made of stay as they are. */
static void write_encoded(const char *text, const char *plain, FILE *out)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		const bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
				      strchr(plain, *c) != NULL;

		(void)fprintf(out, is_plain ? "%c" : "%%%02X", *c);
	}
}

void pfi_hand_over_write(const struct prefork_listener *listener, FILE *out)
{
	write_encoded(listener->name, ".:/-_[]@", out);
	(void)fprintf(out, "=%d", listener->fd);
	for (unsigned i = 1; i < listener->socket_count; i++)
		(void)fprintf(out, "+%d", listener->sockets[i]);
	if ((listener->held_by & PFI_HELD_BY_STARTER) == 0)
		(void)fputs(":bound", out);
	if (listener->held_by & PFI_HELD_BY_STORE)
		(void)fputs(":stored", out);
	if (listener->sockets)
		(void)fprintf(out, ":listening=%u", listener->sockets_listening);
	if (listener->path && listener->path_fd >= 0) {
		(void)fprintf(out, ":file=%d:path=", listener->path_fd);
		write_encoded(listener->path, "./-_", out);
	}
}

size_t pfi_hand_over_fds(const struct prefork_listener *listener, int *fds, size_t max)
{
	size_t count = 0;

	for (unsigned i = 0; i < listener->socket_count || i == 0; i++) {
		if (count++ < max)
			fds[count - 1] = i == 0 ? listener->fd : listener->sockets[i];
	}
	if (listener->path && listener->path_fd >= 0 && count++ < max)
		fds[count - 1] = listener->path_fd;
	return count;
}

/* --- reading */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *pfi_hand_over_decode(const char *text, size_t length, int *ret_error)
{
	char *name = malloc(length + 1);
	size_t used = 0;

	*ret_error = -ENOMEM;
	for (size_t i = 0; name && i < length; i++) {
		char c = text[i];

		if (c == '%') {
			const int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
			const int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0)) {
				*ret_error = -EINVAL;
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

static int parse_number(const char *text, size_t length, int64_t min, int64_t max, int *ret)
{
	char digits[DIGITS_MAX + 1];
	int64_t number;

	if (length > DIGITS_MAX)
		return -EINVAL;
	memcpy(digits, text, length);
	digits[length] = 0;
	if (pfi_parse_whole(digits, &number) < 0 || number < min || number > max)
		return -EINVAL;
	*ret = (int)number;
	return 0;
}

/* FD+FD+FD */
static int parse_fds(const char *text, size_t length, struct pfi_inherited_socket *ret)
{
	const char *const end = text + length;
	unsigned more = 0;

	for (const char *c = text; c < end; c++)
		more += *c == '+';
	if (more > 0 && (ret->more = malloc(more * sizeof *ret->more)) == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i <= more; i++) {
		const char *const plus = memchr(text, '+', (size_t)(end - text));
		const size_t digits = (size_t)((plus ? plus : end) - text);
		int fd;

		if (parse_number(text, digits, FIRST_FD, FD_MAX, &fd) < 0)
			return -EINVAL;
		if (i == 0)
			ret->fd = fd;
		else
			ret->more[ret->more_count++] = fd;
		text += digits + 1;
	}
	return 0;
}

static bool is_word(const char *text, size_t length, const char *word, const char **ret_value)
{
	const size_t size = strlen(word);

	*ret_value = text + size;
	return word[size - 1] == '=' ? length >= size && memcmp(text, word, size) == 0 :
				       length == size && memcmp(text, word, size) == 0;
}

static int parse_word(const char *text, size_t length, struct pfi_inherited_socket *ret, const char **ret_why)
{
	const char *const end = text + length;
	const char *value;
	int error = -EINVAL, number = 0;

	if (is_word(text, length, "bound", &value)) {
		ret->is_bound = true;
	} else if (is_word(text, length, "stored", &value)) {
		ret->is_stored = true;
	} else if (is_word(text, length, "listening=", &value)) {
		*ret_why = "the number of sockets that listen is wrong";
		if (parse_number(value, (size_t)(end - value), 1, (int64_t)ret->more_count + 1, &number) < 0)
			return -EINVAL;
		ret->listening = (unsigned)number;
	} else if (is_word(text, length, "file=", &value)) {
		*ret_why = "that is not a descriptor";
		return parse_number(value, (size_t)(end - value), FIRST_FD, FD_MAX, &ret->file);
	} else if (is_word(text, length, "path=", &value)) {
		*ret_why = "two hexadecimal digits must follow %";
		free(ret->path);
		ret->path = pfi_hand_over_decode(value, (size_t)(end - value), &error);
		return ret->path ? 0 : error;
	}
	return 0;
}

int pfi_hand_over_parse(const char *text, size_t length, struct pfi_inherited_socket *ret, const char **ret_why)
{
	const char *const end = text + length;
	const char *colon = memchr(text, ':', length);
	int r = parse_fds(text, (size_t)((colon ? colon : end) - text), ret);

	*ret_why = "that is not a descriptor";
	while (r == 0 && colon) {
		const char *const word = colon + 1;

		colon = memchr(word, ':', (size_t)(end - word));
		r = parse_word(word, (size_t)((colon ? colon : end) - word), ret, ret_why);
	}
	return r;
}

/* --- taking */

static int take_sockets(struct prefork_listener *listener, struct pfi_inherited_socket *socket)
{
	uint32_t length;
	uint32_t backlog = 0;

	/* Before the sockets are there: of the first alone. */
	(void)pfi_listener_queue(listener, &length, &backlog);
	listener->sockets = calloc((size_t)socket->more_count + 1, sizeof *listener->sockets);
	if (!listener->sockets)
		return -ENOMEM;
	listener->backlog = backlog > 0 && backlog < INT_MAX ? (int)backlog : pfi_listener_defaults.backlog;
	listener->sockets[0] = listener->fd;
	for (unsigned i = 0; i < socket->more_count; i++) {
		const int fd = socket->more[i];
		int r = pfi_fd_set_nonblock(fd, true);

		if (r == 0)
			r = pfi_fd_set_cloexec(fd, true);
		if (r == 0)
			r = pfi_fdtable_adopt(fd, PFI_FD_LISTENER);
		if (r < 0) {
			free(listener->sockets);
			listener->sockets = NULL;
			return r;
		}
		listener->sockets[i + 1] = fd;
	}
	for (unsigned i = 0; i < socket->more_count; i++)
		socket->more[i] = -1;
	listener->socket_count = socket->more_count + 1;
	listener->sockets_listening = socket->listening > 0 ? socket->listening : listener->socket_count;
	/* The arbiter before may have been steering new connections away from its last sockets. */
	(void)pfi_reuseport_steer(listener, 0);
	return 0;
}

/* Without the descriptor of the file the path stays: another file may have its name by now. */
static void take_path(struct prefork_listener *listener, struct pfi_inherited_socket *socket)
{
	if (listener->family != AF_UNIX || !socket->path || socket->file < 0 ||
	    pfi_fd_set_cloexec(socket->file, true) < 0 || pfi_fdtable_adopt(socket->file, PFI_FD_PATH) < 0)
		return;
	listener->path = socket->path;
	listener->path_fd = socket->file;
	listener->maker = getpid();
	socket->path = NULL;
	socket->file = -1;
}

int pfi_hand_over_take(struct prefork_listener *listener, struct pfi_inherited_socket *socket, bool is_upgrade)
{
	int seconds = 0;
	socklen_t size = sizeof seconds;

	if (socket->more_count > 0 || socket->listening > 0) {
		const int r = take_sockets(listener, socket);

		if (r < 0)
			return r;
	}
	if (!socket->is_bound)
		return 0;
	/* Without an old arbiter, which may have been killed, the socket is that of this one alone. */
	listener->held_by = (is_upgrade ? PFI_HELD_BY_PARENT : 0) | (socket->is_stored ? PFI_HELD_BY_STORE : 0);
	take_path(listener, socket);
	if (listener->family != AF_UNIX && getsockopt(listener->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size) == 0)
		listener->defer_accept_s = seconds > 0 ? (unsigned)seconds : 0;
	pfi_listener_allow(listener);
	return 0;
}
