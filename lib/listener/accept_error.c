/* Classifies the errors of accept4(2), and finds out which resource it lacks. */
#include "listener/accept_error.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
	int error;
	enum pfi_accept_verdict verdict;
} verdicts[] = {
	{ EAGAIN, PFI_ACCEPT_AGAIN },
	{ EINTR, PFI_ACCEPT_AGAIN },

	/* accept(2) of Linux passes on errors that are pending on the new socket. */
	{ ECONNABORTED, PFI_ACCEPT_DROP },
	{ ECONNRESET, PFI_ACCEPT_DROP },
	{ EPROTO, PFI_ACCEPT_DROP },
	/* A firewall dropped it. If it repeats, a seccomp filter refuses the call, and the connection stays pending. */
	{ EPERM, PFI_ACCEPT_DROP },
	{ ETIMEDOUT, PFI_ACCEPT_DROP },
	{ ENETDOWN, PFI_ACCEPT_DROP },
	{ ENETUNREACH, PFI_ACCEPT_DROP },
	{ EHOSTDOWN, PFI_ACCEPT_DROP },
	{ EHOSTUNREACH, PFI_ACCEPT_DROP },
	{ ENONET, PFI_ACCEPT_DROP },
	{ ENOPROTOOPT, PFI_ACCEPT_DROP },
	{ EOPNOTSUPP, PFI_ACCEPT_DROP },

	{ EMFILE, PFI_ACCEPT_PAUSE },
	{ ENFILE, PFI_ACCEPT_PAUSE },
	{ ENOBUFS, PFI_ACCEPT_PAUSE },
	{ ENOMEM, PFI_ACCEPT_PAUSE },

	{ EBADF, PFI_ACCEPT_CLOSED },
	{ EINVAL, PFI_ACCEPT_CLOSED },
	{ ENOTSOCK, PFI_ACCEPT_CLOSED },
};

enum pfi_accept_verdict pfi_accept_verdict(int error)
{
	for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
		if (verdicts[i].error == error)
			return verdicts[i].verdict;
	}
	return PFI_ACCEPT_PAUSE;
}

int pfi_accept_probe(int fd)
{
	const int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	const int error = accepted < 0 ? errno : 0;

	if (accepted >= 0) /* `fd` listens: a caller's mistake */
		(void)close(accepted);
	if (error == EPERM || error == EACCES || error == ENOSYS)
		return error;
	return pfi_accept_verdict(error) == PFI_ACCEPT_PAUSE && error != 0 ? error : 0;
}
