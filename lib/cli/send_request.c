/* --send-reload, --send-upgrade: have a running server reload or upgrade, and wait for the verdict. */
#include "cli/cli.h"

#include "base/text.h"
#include "model/query.h"
#include "os/fd.h"
#include "os/pidfile.h"
#include "os/query_socket.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { ANSWER_MAX = 2048 };

/* A descriptor, or an error with its message. */
static int connect_to(const char *path)
{
	pid_t pid = 0;
	ino_t inode = 0;
	int r = pfi_pidfile_find_owner(path, &pid, &inode);

	if (r < 0)
		return PREFORK_EUSAGE;
	r = pfi_query_connect(pid, inode);
	if (r >= 0)
		return r;
	if (r == -EPERM)
		return prefork_fail(PREFORK_EUSAGE, "the server with process id %d runs as another user: only that user and root can "
						   "send it a request", (int)pid);
	return prefork_fail(PREFORK_EUSAGE, "the server with process id %d does not answer: %s", (int)pid, strerror(-r));
}

int pfi_cli_send_request(const char *path, const char *request)
{
	char answer[ANSWER_MAX] = "", why[ANSWER_MAX];
	struct pfi_text text;
	int fd = connect_to(path);
	ssize_t n;

	if (fd < 0)
		return fd;
	/* A server that refuses closes the connection without reading the request: the first recv(2) then fails with
	 * ECONNRESET, and the next one returns the reason. */
	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	do
		n = recv(fd, answer, sizeof answer - 1, 0);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	pfi_close(&fd);
	if (n <= 0)
		return prefork_fail(-EPIPE, "%s failed: the server has ended, or its version cannot do this", request);
	if (answer[0] == PFI_QUERY_DONE)
		return 0;
	pfi_text_init(&text, why, sizeof why);
	pfi_text_add_line(&text, answer + 1, (size_t)n - 1); /* the server may run as another user */
	return prefork_fail(-ECANCELED, "%s %s: %s", request, answer[0] == PFI_QUERY_REFUSED ? "refused" : "failed", why);
}
