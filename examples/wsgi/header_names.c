/* Caches the environ keys and last values of header fields by their names. The cache is bounded, since clients
 * choose the names. */
#include "header_names.h"

#include <stdint.h>
#include <string.h>

enum {
	SLOTS = 1024,    /* a power of two                                          */
	NAMES_MAX = 512, /* below SLOTS: a search ends at a free slot               */
	NAME_SIZE = 64,  /* longer names and values are rare: not cached            */
	VALUE_MAX = 256,
};

struct slot {
	struct wsgi_header_name field;
	uint32_t hash;
	uint32_t size; /* 0: free */
	char name[NAME_SIZE];
};

struct wsgi_keys wsgi_keys;
static struct slot slots[SLOTS];
static size_t used;

/* Inserted first, so that clients cannot fill the table with other names. */
static const char *const common[] = {
	"Host", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Connection", "Cookie",
	"Content-Type", "Content-Length", "Authorization", "Referer", "Origin", "Cache-Control", "Pragma",
	"If-None-Match", "If-Modified-Since", "Range", "Forwarded", "Via", "X-Forwarded-For",
	"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "X-Request-ID",
	"X-Requested-With", "X-CSRFToken", "Upgrade-Insecure-Requests", "Sec-Fetch-Site", "Sec-Fetch-Mode",
	"Sec-Fetch-User", "Sec-Fetch-Dest", "traceparent", "host", "user-agent", "accept", "accept-encoding",
	"accept-language", "connection", "cookie", "content-type", "content-length", "authorization", "referer",
	"origin", "x-forwarded-for", "x-forwarded-proto", "x-request-id",
};

int wsgi_header_names_create(void)
{
	struct wsgi_header_name spare;

#define X(member, text)                                                                            \
	if ((wsgi_keys.member = PyUnicode_InternFromString(text)) == NULL)                         \
		return -1;
	WSGI_KEYS(X)
#undef X
	for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
		if (wsgi_header_name_find(common[i], strlen(common[i]), &spare) == NULL)
			return -1;
	}
	return 0;
}

PyObject *wsgi_text(PyObject **last, const char *bytes, size_t size)
{
	PyObject *text = *last;

	if (text && (size_t)PyUnicode_GET_LENGTH(text) == size && memcmp(PyUnicode_1BYTE_DATA(text), bytes, size) == 0) {
		Py_INCREF(text);
		return text;
	}
	text = PyUnicode_DecodeLatin1(bytes, (Py_ssize_t)size, NULL);
	if (text && size <= VALUE_MAX) {
		Py_INCREF(text);
		Py_XSETREF(*last, text);
	}
	return text;
}

/* Over the length, the first 8 and the last 8 bytes, which differ between real names. A client can send names that
 * collide; at most NAMES_MAX slots are in use, so a search stays bounded. */
static uint32_t hash_of(const char *name, size_t size)
{
	uint64_t first = 0, last = 0;

	if (size >= 8) {
		memcpy(&first, name, 8);
		memcpy(&last, name + size - 8, 8);
	} else {
		for (size_t i = 0; i < size; i++)
			first = first << 8 | (unsigned char)name[i];
	}
	first = (first ^ (last + size) * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd);
	return (uint32_t)(first >> 32);
}

/* RFC 3875 4.1.18: upper case, hyphens become underscores, prefix HTTP_ except for two names. Names with an underscore
 * arrive only with header_map=dangerous or from a trusted proxy (forwarder_headers), and are never mapped to CONTENT_LENGTH or CONTENT_TYPE. */
static PyObject *key_of(const char *name, size_t size)
{
	char text[5 + 8192] = "HTTP_";
	PyObject *key;

	if (size > sizeof text - 5)
		return PyErr_NoMemory();
	for (size_t i = 0; i < size; i++) {
		const char c = name[i];

		text[5 + i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
	const bool is_strange = memchr(name, '_', size) != NULL;

	size += 5;
	if (!is_strange && size == sizeof "HTTP_CONTENT_TYPE" - 1 && memcmp(text, "HTTP_CONTENT_TYPE", size) == 0)
		key = Py_NewRef(wsgi_keys.content_type);
	else if (!is_strange && size == sizeof "HTTP_CONTENT_LENGTH" - 1 && memcmp(text, "HTTP_CONTENT_LENGTH", size) == 0)
		key = Py_NewRef(wsgi_keys.content_length);
	else if (size == sizeof "HTTP_HOST" - 1 && memcmp(text, "HTTP_HOST", size) == 0)
		key = Py_NewRef(wsgi_keys.http_host);
	else if (size == sizeof "HTTP_SCRIPT_NAME" - 1 && memcmp(text, "HTTP_SCRIPT_NAME", size) == 0)
		key = Py_NewRef(wsgi_keys.http_script_name);
	else
		key = PyUnicode_DecodeLatin1(text, (Py_ssize_t)size, NULL);
	return key;
}

struct wsgi_header_name *wsgi_header_name_find(const char *name, size_t size, struct wsgi_header_name *spare)
{
	const uint32_t hash = hash_of(name, size);
	uint32_t at = hash & (SLOTS - 1);
	PyObject *key = NULL;

	while (slots[at].size != 0) {
		if (slots[at].hash == hash && slots[at].size == size && memcmp(slots[at].name, name, size) == 0)
			return &slots[at].field;
		at = (at + 1) & (SLOTS - 1);
	}
	spare->last = NULL;
	spare->key = NULL;
	key = key_of(name, size);
	if (key == NULL)
		return NULL;
	if (used == NAMES_MAX || size > NAME_SIZE) {
		spare->key = key;
		return spare;
	}
	used++;
	PyUnicode_InternInPlace(&key);
	slots[at].field.key = key;
	slots[at].hash = hash;
	slots[at].size = (uint32_t)size;
	memcpy(slots[at].name, name, size);
	return &slots[at].field;
}
