/*
 * fields -- the field names that this server interprets, and the character classes of RFC 9110.
 *
 * Pure. A name that is looked up must be a token.
 */
#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PFI_FIELD_ONCE = 1,            /* a request with two of them is refused */
	PFI_FIELD_NO_TRAILER = 2,      /* framing, routing, authorization: refused in a trailer (RFC 9110 6.5.1) */
	PFI_FIELD_HOP = 4,             /* hop-by-hop: an application may not send it */
	PFI_FIELD_TRAILER_IGNORED = 8, /* content, controls: ignored in a trailer, when the body is read already */
};

/* id, name, its first and last letter (C has no constant "x"[0]), rules. */
#define PFI_FIELDS(X)                                                                                  \
	X(HOST, "host", 'h', 't', PFI_FIELD_ONCE | PFI_FIELD_NO_TRAILER)                               \
	X(CONTENT_LENGTH, "content-length", 'c', 'h', PFI_FIELD_ONCE | PFI_FIELD_NO_TRAILER)           \
	X(TRANSFER_ENCODING, "transfer-encoding", 't', 'g', PFI_FIELD_NO_TRAILER | PFI_FIELD_HOP)      \
	X(CONNECTION, "connection", 'c', 'n', PFI_FIELD_NO_TRAILER | PFI_FIELD_HOP)                    \
	X(EXPECT, "expect", 'e', 't', PFI_FIELD_TRAILER_IGNORED)                                       \
	X(UPGRADE, "upgrade", 'u', 'e', PFI_FIELD_NO_TRAILER | PFI_FIELD_HOP)                          \
	X(TE, "te", 't', 'e', PFI_FIELD_NO_TRAILER | PFI_FIELD_HOP)                                    \
	X(TRAILER, "trailer", 't', 'r', PFI_FIELD_NO_TRAILER | PFI_FIELD_HOP)                          \
	X(KEEP_ALIVE, "keep-alive", 'k', 'e', PFI_FIELD_NO_TRAILER | PFI_FIELD_HOP)                    \
	X(PROXY_CONNECTION, "proxy-connection", 'p', 'n', PFI_FIELD_NO_TRAILER | PFI_FIELD_HOP)        \
	X(CONTENT_TYPE, "content-type", 'c', 'e', PFI_FIELD_ONCE | PFI_FIELD_TRAILER_IGNORED)          \
	X(CONTENT_ENCODING, "content-encoding", 'c', 'g', PFI_FIELD_TRAILER_IGNORED)                   \
	X(CONTENT_RANGE, "content-range", 'c', 'e', PFI_FIELD_TRAILER_IGNORED)                         \
	X(AUTHORIZATION, "authorization", 'a', 'n', PFI_FIELD_NO_TRAILER)                              \
	X(PROXY_AUTHORIZATION, "proxy-authorization", 'p', 'n', PFI_FIELD_NO_TRAILER)                  \
	X(PROXY_AUTHENTICATE, "proxy-authenticate", 'p', 'e', PFI_FIELD_NO_TRAILER)                    \
	X(WWW_AUTHENTICATE, "www-authenticate", 'w', 'e', PFI_FIELD_NO_TRAILER)                        \
	X(COOKIE, "cookie", 'c', 'e', PFI_FIELD_NO_TRAILER)                                            \
	X(SET_COOKIE, "set-cookie", 's', 'e', PFI_FIELD_NO_TRAILER)                                    \
	X(CACHE_CONTROL, "cache-control", 'c', 'l', PFI_FIELD_TRAILER_IGNORED)                         \
	X(MAX_FORWARDS, "max-forwards", 'm', 's', PFI_FIELD_NO_TRAILER)                                \
	X(RANGE, "range", 'r', 'e', PFI_FIELD_TRAILER_IGNORED)                                         \
	X(IF_MATCH, "if-match", 'i', 'h', PFI_FIELD_TRAILER_IGNORED)                                   \
	X(IF_NONE_MATCH, "if-none-match", 'i', 'h', PFI_FIELD_TRAILER_IGNORED)                         \
	X(IF_MODIFIED_SINCE, "if-modified-since", 'i', 'e', PFI_FIELD_TRAILER_IGNORED)                 \
	X(IF_UNMODIFIED_SINCE, "if-unmodified-since", 'i', 'e', PFI_FIELD_TRAILER_IGNORED)             \
	X(IF_RANGE, "if-range", 'i', 'e', PFI_FIELD_TRAILER_IGNORED)                                   \
	X(DATE, "date", 'd', 'e', 0)                                                                   \
	X(SERVER, "server", 's', 'r', 0)                                                               \
	X(REFERER, "referer", 'r', 'r', 0)                                                             \
	X(USER_AGENT, "user-agent", 'u', 't', 0)                                                       \
	X(FORWARDED, "forwarded", 'f', 'd', PFI_FIELD_NO_TRAILER)                                      \
	X(X_FORWARDED_FOR, "x-forwarded-for", 'x', 'r', PFI_FIELD_NO_TRAILER)                          \
	X(X_FORWARDED_PROTO, "x-forwarded-proto", 'x', 'o', PFI_FIELD_NO_TRAILER)                      \
	X(X_FORWARDED_PROTOCOL, "x-forwarded-protocol", 'x', 'l', PFI_FIELD_NO_TRAILER)                \
	X(X_FORWARDED_SSL, "x-forwarded-ssl", 'x', 'l', PFI_FIELD_NO_TRAILER)

#define PFI_ENUM_FIELD(id, name, first, last, rules) PFI_FIELD_##id,
enum pfi_field_id { PFI_FIELD_OTHER, PFI_FIELDS(PFI_ENUM_FIELD) PFI_FIELD_COUNT };
#undef PFI_ENUM_FIELD

enum pfi_field_id pfi_field_find(const char *name, size_t length);
unsigned pfi_field_rules(enum pfi_field_id id);
const char *pfi_field_name(enum pfi_field_id id);

enum {
	PFI_CHAR_TOKEN = 1,  /* RFC 9110 5.6.2 */
	PFI_CHAR_METHOD = 2, /* a token without lower case letters and '#' */
	PFI_CHAR_TARGET = 4, /* a request target: RFC 3986, and raw UTF-8, which is common */
	PFI_CHAR_HOST = 8,   /* RFC 3986 reg-name without the comma, which merges two Hosts */
	PFI_CHAR_TEXT = 16,  /* a field value: no control characters except tab */
	PFI_CHAR_DIGIT = 32,
};

extern const uint8_t pfi_chars[256];

static inline bool pfi_char_is(char c, unsigned classes)
{
	return (pfi_chars[(unsigned char)c] & classes) != 0;
}

/* Whether `text` is `lower`, ASCII case ignored, whatever the locale. `lower` has lower case letters and bytes from 0x20
 * to 0x3f only: digits and most punctuation, no underscore. */
bool pfi_text_is(const char *text, size_t length, const char *lower, size_t lower_length);
bool pfi_token_valid(const char *text, size_t length);
bool pfi_value_valid(const char *text, size_t length);

/* The first byte in [text, end) that is not PFI_CHAR_TEXT, or `end`. */
const char *pfi_value_end(const char *text, const char *end);

#endif
