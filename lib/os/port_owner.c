/* Finds the process that listens on an address in /proc, for an error message. */
#include "os/port_owner.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTENING = 0x0a, LINKS_MAX = 20000 }; /* takes some tens of milliseconds */

/* A line of /proc/net/tcp or tcp6. Each 32-bit word of an address is in host byte order. */
struct row {
	char host[33];
	unsigned port, state;
	unsigned long inode;
};

static bool parse_row(const char *line, struct row *ret)
{
	return sscanf(line, " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %lu", ret->host, &ret->port,
		      &ret->state, &ret->inode) == 4;
}

static void write_words(const void *bytes, size_t count, char *ret)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t word;

		memcpy(&word, (const char *)bytes + i * sizeof word, sizeof word);
		(void)snprintf(ret + i * 8, 9, "%08X", word);
	}
}

static bool is_wildcard(const char *host)
{
	return host[strspn(host, "0")] == '\0';
}

/* The inode of the listening socket that conflicts with the address, 0: not found. */
static unsigned long find_inode(const char *table, const char *host, unsigned port)
{
	FILE *const file = fopen(table, "re");
	unsigned long found = 0;
	char line[512];
	struct row row;

	while (file != NULL && found == 0 && fgets(line, sizeof line, file) != NULL) {
		if (parse_row(line, &row) && row.state == LISTENING && row.port == port &&
		    (is_wildcard(host) || is_wildcard(row.host) || strcmp(row.host, host) == 0))
			found = row.inode;
	}
	if (file != NULL)
		(void)fclose(file);
	return found;
}

static bool has_open(pid_t pid, const char *link, unsigned *links_read)
{
	char path[32], target[64];
	struct dirent *entry;
	bool found = false;

	(void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *const directory = opendir(path);
	while (directory != NULL && !found && *links_read < LINKS_MAX && (entry = readdir(directory)) != NULL) {
		const ssize_t n = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);

		++*links_read;
		target[n > 0 ? n : 0] = '\0';
		found = strcmp(target, link) == 0;
	}
	if (directory != NULL)
		(void)closedir(directory);
	return found;
}

static pid_t find_process(unsigned long inode)
{
	DIR *const directory = opendir("/proc");
	struct dirent *entry;
	unsigned links_read = 0;
	pid_t found = 0;
	char link[64];

	(void)snprintf(link, sizeof link, "socket:[%lu]", inode);
	while (directory != NULL && found == 0 && (entry = readdir(directory)) != NULL) {
		const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0: not the directory of a process */

		if (pid > 0 && has_open(pid, link, &links_read))
			found = pid;
	}
	if (directory != NULL)
		(void)closedir(directory);
	return found;
}

pid_t pfi_port_owner_find(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *const ipv4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *const ipv6 = (const struct sockaddr_in6 *)address;
	unsigned long inode = 0;
	char host[33] = "";

	if (address->ss_family == AF_INET) {
		write_words(&ipv4->sin_addr, 1, host);
		inode = find_inode("/proc/net/tcp", host, ntohs(ipv4->sin_port));
		if (inode == 0) /* an IPv6 socket that also accepts IPv4 */
			inode = find_inode("/proc/net/tcp6", "-", ntohs(ipv4->sin_port));
	} else if (address->ss_family == AF_INET6) {
		write_words(&ipv6->sin6_addr, 4, host);
		inode = find_inode("/proc/net/tcp6", host, ntohs(ipv6->sin6_port));
		if (inode == 0 && is_wildcard(host))
			inode = find_inode("/proc/net/tcp", host, ntohs(ipv6->sin6_port));
	}
	return inode != 0 ? find_process(inode) : 0;
}

void pfi_port_owner_name(pid_t pid, char name[PFI_PORT_OWNER_NAME_MAX])
{
	char path[32];

	(void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	FILE *const file = fopen(path, "re");

	name[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(name, PFI_PORT_OWNER_NAME_MAX, file) == NULL)
		name[0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	(void)fclose(file);
}
