#include "os/syslog.h"

#include "base/number.h"
#include "base/syslog_line.h"
#include "os/fd.h"
#include "os/open.h"

#include <prefork/error.h>
#include <prefork/log.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { PORT = 514 };

static int refuse(const char *text, const char *why)
{
	return prefork_fail(-EINVAL, "%.200s: %s", text, why);
}

static int read_unix(const char *text, const char *path, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	const size_t length = strcspn(path, "#");

	if (path[length] == '#' && strcmp(path + length, "#dgram") != 0)
		return refuse(text, "only datagram sockets (#dgram) are supported: a stream could block");
	if (length == 0 || length >= sizeof name.sun_path)
		return refuse(text, "the path is empty or too long");
	memcpy(name.sun_path, path, length);
	memcpy(ret, &name, sizeof name);
	*ret_size = sizeof name;
	return 0;
}

/* "127.0.0.1", "[::1]". The host that ends at `end`. */
static int read_host(const char *host, size_t length, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	struct sockaddr_in ip = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 ip6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const int is_bracketed = host[0] == '[' && length > 2 && host[length - 1] == ']';
	char copy[64];

	if (length >= sizeof copy)
		return -EINVAL;
	memcpy(copy, host + is_bracketed, length - 2 * (size_t)is_bracketed);
	copy[length - 2 * (size_t)is_bracketed] = '\0';
	if (!is_bracketed && inet_pton(AF_INET, strcmp(copy, "localhost") == 0 ? "127.0.0.1" : copy, &ip.sin_addr) == 1) {
		memcpy(ret, &ip, *ret_size = sizeof ip);
		return 0;
	}
	if (is_bracketed && inet_pton(AF_INET6, copy, &ip6.sin6_addr) == 1) {
		memcpy(ret, &ip6, *ret_size = sizeof ip6);
		return 0;
	}
	return -EINVAL;
}

static int read_udp(const char *text, const char *host, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	const char *const bracket = strrchr(host, ']'), *const colon = strchr(bracket != NULL ? bracket : host, ':');
	const size_t length = colon != NULL ? (size_t)(colon - host) : strlen(host);
	int64_t port = PORT;

	if (colon != NULL && (pfi_parse_whole(colon + 1, &port) < 0 || port < 1 || port > UINT16_MAX))
		return refuse(text, "the port is not a number from 1 to 65535");
	if (read_host(host, length, (uint16_t)port, ret, ret_size) < 0)
		return refuse(text, "expected an IP address or localhost: looking up a name could block");
	return 0;
}

int pfi_syslog_read(const char *text, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	memset(ret, 0, sizeof *ret);
	if (strncmp(text, "unix://", strlen("unix://")) == 0)
		return read_unix(text, text + strlen("unix://"), ret, ret_size);
	if (strncmp(text, "udp://", strlen("udp://")) == 0)
		return read_udp(text, text + strlen("udp://"), ret, ret_size);
	if (strncmp(text, "tcp://", strlen("tcp://")) == 0)
		return refuse(text, "TCP is not supported, since a connection could block: use udp:// or unix://");
	return refuse(text, "expected unix://PATH or udp://ADDRESS:PORT");
}

struct pfi_syslog *pfi_syslog_open(const char *address, const char *identity, const char *facility, int *ret_error)
{
	struct pfi_syslog *const syslog = calloc(1, sizeof *syslog);
	int r = syslog != NULL ? 0 : prefork_fail(-ENOMEM, "out of memory for a log");

	if (syslog != NULL) {
		syslog->fd = -1;
		syslog->facility = pfi_syslog_facility(facility);
		(void)snprintf(syslog->identity, sizeof syslog->identity, "%s", identity);
		atomic_init(&syslog->pid, getpid());
		r = syslog->facility >= 0 ? pfi_syslog_read(address, &syslog->address, &syslog->size) :
					    prefork_fail(-EINVAL, "there is no syslog facility '%s'", facility);
	}
	if (r == 0) {
		r = syslog->fd = pfi_open_log_socket(syslog->address.ss_family);
		r = r < 0 ? prefork_fail(r, "cannot open a socket for syslog: %s", strerror(-r)) : 0;
	}
	if (r == 0 && syslog->address.ss_family != AF_UNIX)
		(void)gethostname(syslog->host, sizeof syslog->host - 1);
	*ret_error = r;
	if (r == 0)
		return syslog;
	free(syslog);
	return NULL;
}

void pfi_syslog_close(struct pfi_syslog *syslog)
{
	if (syslog == NULL)
		return;
	pfi_close(&syslog->fd);
	free(syslog);
}

static bool send_line(struct pfi_syslog *syslog, int level, int64_t local_s, const char *message, size_t length)
{
	char bytes[PFI_SYSLOG_LINE_MAX];
	const struct pfi_syslog_line line = {
		.facility = syslog->facility,
		.level = level,
		.local_s = local_s,
		.host = syslog->host[0] != '\0' ? syslog->host : NULL,
		.identity = syslog->identity,
		.pid = atomic_load_explicit(&syslog->pid, memory_order_relaxed),
	};
	const size_t size = pfi_syslog_format(bytes, &line, message, length);
	ssize_t n;

	do
		n = sendto(syslog->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&syslog->address,
			   syslog->size);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)size;
}

/* Lines that were lost before a fork are counted by the parent. */
static void notice_fork(struct pfi_syslog *syslog)
{
	const int pid = getpid();

	if (atomic_load_explicit(&syslog->pid, memory_order_relaxed) != pid) {
		atomic_store(&syslog->pid, pid);
		atomic_store(&syslog->lost, 0);
	}
}

void pfi_syslog_send(struct pfi_syslog *syslog, int level, int64_t local_s, const char *message, size_t length)
{
	const int error = errno;
	char text[64];
	unsigned lost;

	notice_fork(syslog);
	lost = atomic_exchange(&syslog->lost, 0);
	if (lost > 0) {
		(void)snprintf(text, sizeof text, "%u log line%s lost", lost, lost == 1 ? " was" : "s were");
		if (send_line(syslog, PREFORK_LOG_WARNING, local_s, text, strlen(text)))
			lost = 0;
	}
	if (lost > 0 || !send_line(syslog, level, local_s, message, length))
		(void)atomic_fetch_add(&syslog->lost, lost + 1);
	errno = error;
}
