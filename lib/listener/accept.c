#include "listener/accept.h"

#include <errno.h>
#include <stddef.h>

static const struct {
	int error;
	enum pfi_accept_verdict verdict;
} verdicts[] = {
	{ EAGAIN, PFI_ACCEPT_AGAIN },
	{ EINTR, PFI_ACCEPT_AGAIN },

	/* Linux hands over what had gone wrong with the new socket already. */
	{ ECONNABORTED, PFI_ACCEPT_DROP },
	{ ECONNRESET, PFI_ACCEPT_DROP },
	{ EPROTO, PFI_ACCEPT_DROP },
	{ EPERM, PFI_ACCEPT_DROP }, /* the firewall */
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
