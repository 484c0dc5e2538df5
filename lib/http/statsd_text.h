/*
 * statsd_text -- metrics in the text of statsd, several in a datagram. Pure.
 *
 *     PREFIX.NAME.requests:57|c|#TAGS
 *     PREFIX.NAME.request.duration:12.345|ms|#TAGS
 *
 * https://github.com/statsd/statsd/blob/master/docs/metric_types.md; tags as dogstatsd has them.
 */
#ifndef HTTP_STATSD_TEXT_H
#define HTTP_STATSD_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* What fits into the payload of a UDP datagram without fragments, at the usual MTU with some space for tunnels; and what
 * dogstatsd reads of a unix socket. */
enum { PFI_STATSD_UDP_MAX = 1432, PFI_STATSD_UNIX_MAX = 8192, PFI_STATSD_NAME_MAX = 256, PFI_STATSD_TAGS_MAX = 768 };

/* How each metric of this server begins and ends. */
struct pfi_statsd_words {
	char prefix[PFI_STATSD_NAME_MAX]; /* "PREFIX.NAME." */
	size_t prefix_length;
	char tags[PFI_STATSD_TAGS_MAX]; /* "|#TAGS", or "" */
	size_t tags_length;
};

/* A datagram that is being filled, and the function that sends each. */
struct pfi_statsd_batch {
	char bytes[PFI_STATSD_UNIX_MAX];
	size_t length, max;
	const struct pfi_statsd_words *words;
	void (*send)(void *user, const char *bytes, size_t size);
	void *user;
};

/* One request. */
struct pfi_statsd_record {
	uint32_t took_us;
	uint16_t status;
};

/** The words of the settings statsd_prefix and dogstatsd_tags, of which each may be NULL, and statsd_name. Dots at the
 *  end of a prefix become one. -EINVAL: they are too long. */
int pfi_statsd_words_init(struct pfi_statsd_words *words, const char *prefix, const char *name, const char *tags);

/** Add one metric, such as "requests", of the type "c", "g", "ms" or "h"; if the datagram is full, send it first. */
void pfi_statsd_add(struct pfi_statsd_batch *batch, const char *name, uint64_t value, const char *type);

/** Add the durations of requests, in milliseconds with three decimals. */
void pfi_statsd_add_durations(struct pfi_statsd_batch *batch, const struct pfi_statsd_record *records, size_t count);

/** Send what is left. */
void pfi_statsd_flush(struct pfi_statsd_batch *batch);

#endif
