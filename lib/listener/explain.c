/* Error messages for addresses that cannot be bound: each names the cause and the remedy. */
#include "listener/explain.h"

#include "base/text.h"
#include "os/port_owner.h"
#include "os/path.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int pfi_explain_taken(const char *text, pid_t pid)
{
	char comm[PFI_PORT_OWNER_NAME_MAX], bytes[64];
	struct pfi_text name;

	if (pid == 0)
		return prefork_fail(-EADDRINUSE, "cannot listen on %s: another socket has this address already (as "
						 "root, ss -ltnp shows which process)", text);
	if (pid == getpid())
		return prefork_fail(-EADDRINUSE, "cannot listen on %s: another socket has this address already, one of "
						 "this program itself: bind has an address twice, or one includes another",
				    text);
	pfi_port_owner_name(pid, comm);
	pfi_text_init(&name, bytes, sizeof bytes);
	pfi_text_add_line(&name, comm, strlen(comm));
	return prefork_fail(-EADDRINUSE, "cannot listen on %s: another socket has this address already, that of "
					 "process %d (%s)", text, (int)pid, bytes);
}

static int explain(int error, const char *text)
{
	switch (error) {
	case -EMFILE:
		return prefork_fail(error, "cannot listen on %s: this process may not open more descriptors (ulimit -n)",
				    text);
	case -ENFILE:
		return prefork_fail(error, "cannot listen on %s: this machine has no more descriptors (fs.file-max)",
				    text);
	default:
		return prefork_fail(error, "cannot listen on %s: %s", text, strerror(-error));
	}
}

static int explain_address(int error, const char *text, const struct sockaddr_storage *socket)
{
	const bool is_ipv6 = socket->ss_family == AF_INET6;

	switch (error) {
	case -EADDRNOTAVAIL:
		return prefork_fail(error, "cannot listen on %s: no interface of this machine has this address%s", text,
				    is_ipv6 ? "; ip -6 address lists them, none if IPv6 is disabled" :
					      "; ip address lists them");
	case -EAFNOSUPPORT:
		return prefork_fail(error, "cannot listen on %s: this machine has no %s", text,
				    is_ipv6 ? "IPv6" : "IPv4");
	case -EINVAL:
		return is_ipv6 ? prefork_fail(error, "cannot listen on %s: a link-local address needs its interface, as in "
						     "[fe80::1%%eth0]:8000", text)
			       : explain(error, text);
	default:
		return explain(error, text);
	}
}

int pfi_explain_tcp(int error, const char *text, const struct pfi_address *address)
{
	switch (error) {
	case -EADDRINUSE:
		return pfi_explain_taken(text, pfi_port_owner_find(&address->socket));
	case -EACCES:
		if (address->port > 0 && address->port < 1024)
			return prefork_fail(error,
					    "cannot listen on %s: ports below 1024 need root, the capability "
					    "CAP_NET_BIND_SERVICE or a lower net.ipv4.ip_unprivileged_port_start",
					    text);
		return prefork_fail(error, "cannot listen on %s: not permitted by a security module (SELinux, AppArmor) or "
					   "the sandbox", text);
	default:
		return explain_address(error, text, &address->socket);
	}
}

int pfi_explain_unix(int error, const char *text)
{
	char why[PFI_PATH_WHY_MAX];

	switch (error) {
	case -EADDRINUSE:
		return pfi_explain_taken(text, 0);
	case -EMFILE:
	case -ENFILE:
		return explain(error, text);
	default:
		return prefork_fail(error, "cannot listen on %s: %s", text, pfi_path_why(error, why));
	}
}
