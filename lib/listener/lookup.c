/* Looks up host names with getaddrinfo(3) and writes the results to a pipe. Uses libc only. */
#include "listener/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void take_address(const struct addrinfo *found, struct pfi_lookup_result *result)
{
	const struct sockaddr_in *const ipv4 = (const struct sockaddr_in *)(const void *)found->ai_addr;
	const struct sockaddr_in6 *const ipv6 = (const struct sockaddr_in6 *)(const void *)found->ai_addr;

	result->family = (uint32_t)found->ai_family;
	if (found->ai_family == AF_INET) {
		memcpy(result->bytes, &ipv4->sin_addr, sizeof ipv4->sin_addr);
		return;
	}
	memcpy(result->bytes, &ipv6->sin6_addr, sizeof ipv6->sin6_addr);
	result->scope = ipv6->sin6_scope_id;
}

void pfi_lookup_host(const char *host, struct pfi_lookup_result *ret)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	const struct addrinfo *best = NULL;
	struct addrinfo *found = NULL;

	*ret = (struct pfi_lookup_result){ .magic = PFI_LOOKUP_MAGIC };
	ret->error = getaddrinfo(host, NULL, &hints, &found);
	if (ret->error != 0)
		return;
	for (const struct addrinfo *each = found; each; each = each->ai_next) {
		if (each->ai_family == AF_INET || (best == NULL && each->ai_family == AF_INET6))
			best = each;
		if (each->ai_family == AF_INET)
			break;
	}
	if (best)
		take_address(best, ret);
	else
		ret->error = EAI_NONAME;
	freeaddrinfo(found);
}

static int write_result(int fd, const struct pfi_lookup_result *result)
{
	ssize_t n;

	do
		n = write(fd, result, sizeof *result); /* less than PIPE_BUF: atomic, pipe(7) */
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int pfi_lookup_all(const char *const *hosts, size_t count, int fd)
{
	struct pfi_lookup_result result;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		pfi_lookup_host(hosts[i], &result);
		r = write_result(fd, &result);
	}
	return r;
}
