/* Checks the settings of statsd, and sends datagrams. */
#include "http/statsd_target.h"

#include "http/http_options.h"

#include <prefork/error.h>
#include <prefork/log.h>
#include <prefork/settings.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int refuse(const struct prefork_settings *settings, const char *const *member, const char *name, const char *why)
{
	return prefork_fail(PREFORK_ECONFIG, "%s: %.200s: %s (%s)", name, *member, why, pfi_http_origin(settings, member));
}

/* Within a line of statsd they would end the name, the value or the line. */
static bool is_name(const char *text)
{
	return strpbrk(text, ":|@#\n ") == NULL;
}

int pfi_statsd_check(const struct prefork_settings *settings, const struct pfi_http_settings *values)
{
	struct pfi_statsd_words words;

	if (values->statsd_prefix != NULL && !is_name(values->statsd_prefix))
		return refuse(settings, &values->statsd_prefix, "statsd_prefix", "it cannot have a space or one of : | @ #");
	if (!is_name(values->statsd_name))
		return refuse(settings, &values->statsd_name, "statsd_name", "it cannot have a space or one of : | @ #");
	if (values->dogstatsd_tags != NULL && strpbrk(values->dogstatsd_tags, "|\n") != NULL)
		return refuse(settings, &values->dogstatsd_tags, "dogstatsd_tags", "tags cannot have a |");
	if (pfi_statsd_words_init(&words, values->statsd_prefix, values->statsd_name, values->dogstatsd_tags) < 0)
		return prefork_fail(PREFORK_ECONFIG, "statsd_prefix and statsd_name have more than %d bytes, or "
		                    "dogstatsd_tags more than %d", PFI_STATSD_NAME_MAX - 3, PFI_STATSD_TAGS_MAX - 3);
	return 0;
}

/* A datagram that the kernel or the receiver does not take is lost: the next one has other metrics. */
static void send_datagram(void *user, const char *bytes, size_t size)
{
	struct pfi_statsd_sender *const sender = user;
	const struct pfi_statsd_target *const target = sender->target;
	ssize_t n;

	if (sender->fd < 0)
		return;
	do
		n = sendto(sender->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&target->address,
		           target->size);
	while (n < 0 && errno == EINTR);
	if (n < 0 && sender->error == 0)
		sender->error = -errno;
}

void pfi_statsd_begin(struct pfi_statsd_sender *sender, const struct pfi_statsd_target *target)
{
	const int family = target->address.ss_family;

	sender->target = target;
	sender->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	sender->error = sender->fd < 0 ? -errno : 0;
	sender->batch.length = 0;
	sender->batch.max = family == AF_UNIX ? PFI_STATSD_UNIX_MAX : PFI_STATSD_UDP_MAX;
	sender->batch.words = &target->words;
	sender->batch.send = send_datagram;
	sender->batch.user = sender;
}

int pfi_statsd_end(struct pfi_statsd_sender *sender)
{
	pfi_statsd_flush(&sender->batch);
	if (sender->fd >= 0)
		(void)close(sender->fd);
	return sender->error;
}

enum pfi_statsd_line pfi_statsd_line_of(int level, bool is_block)
{
	switch (level) {
	case PREFORK_LOG_WARNING:
		return PFI_STATSD_WARNING;
	case PREFORK_LOG_ERROR:
		return is_block ? PFI_STATSD_EXCEPTION : PFI_STATSD_ERROR;
	case PREFORK_LOG_CRITICAL:
		return PFI_STATSD_CRITICAL;
	default:
		return PFI_STATSD_LINES;
	}
}

void pfi_statsd_add_lines(struct pfi_statsd_batch *batch, const unsigned counts[PFI_STATSD_LINES])
{
	static const char *const names[PFI_STATSD_LINES] = {
		[PFI_STATSD_WARNING] = "log.warning",
		[PFI_STATSD_ERROR] = "log.error",
		[PFI_STATSD_CRITICAL] = "log.critical",
		[PFI_STATSD_EXCEPTION] = "log.exception",
	};

	for (int i = 0; i < PFI_STATSD_LINES; i++) {
		if (counts[i] > 0)
			pfi_statsd_add(batch, names[i], counts[i], "c");
	}
}
