/* Finds field names by length, first and last letter, and scans values eight bytes at a time. Holds the table of
 * character classes. */
#include "http/fields.h"

#include <string.h>

/* Sums of the PFI_CHAR_* bits; test_fields.c derives every cell from the grammar of the RFCs. */
const uint8_t pfi_chars[256] = {
	 0,  0,  0,  0,  0,  0,  0,  0,  0, 16,  0,  0,  0,  0,  0,  0,  /* 00 */
	 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  /* 10 */
	16, 31, 20, 17, 31, 31, 31, 31, 28, 28, 31, 31, 20, 31, 31, 20,  /* 20 */
	63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 20, 28, 20, 28, 20, 20,  /* 30 */
	20, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,  /* 40 */
	31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 20, 20, 20, 23, 31,  /* 50 */
	23, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29,  /* 60 */
	29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 20, 23, 20, 31,  0,  /* 70 */
	20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,  /* 80 */
	20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,  /* 90 */
	20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,  /* a0 */
	20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,  /* b0 */
	20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,  /* c0 */
	20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,  /* d0 */
	20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,  /* e0 */
	20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,  /* f0 */
};

/* A perfect hash: if two names collide, the compiler warns of an overridden initialiser, and the build fails. */
#define SLOTS               128
#define SLOT(n, first, last) (((n)*4 + (first)*51 + (last)*29) % SLOTS)

static const uint8_t slots[SLOTS] = {
#define PFI_SLOT_FIELD(id, name, first, last, rules)                                               \
	[SLOT(sizeof(name) - 1, first, last)] = PFI_FIELD_##id,
	PFI_FIELDS(PFI_SLOT_FIELD)
#undef PFI_SLOT_FIELD
};

static const struct {
	const char *name;
	uint8_t length;
	uint8_t rules;
} known[PFI_FIELD_COUNT] = {
	[PFI_FIELD_OTHER] = { "", 0, 0 },
#define PFI_ROW_FIELD(id, name, first, last, rules)                                                \
	[PFI_FIELD_##id] = { name, sizeof(name) - 1, rules },
	PFI_FIELDS(PFI_ROW_FIELD)
#undef PFI_ROW_FIELD
};

/* Compare 8 bytes of a text with 8 bytes of a lower case text, case ignored: bit 0x20 may differ only if `lower` has a
 * letter there (bit 0x40). */
static inline bool word_is(uint64_t text, uint64_t lower)
{
	const uint64_t cases = UINT64_C(0x2020202020202020);

	return (text | cases) == lower && ((text | lower >> 1) & cases) == cases;
}

static inline uint64_t load(const char *from, size_t size)
{
	uint64_t word = UINT64_C(0x2020202020202020);

	memcpy(&word, from, size);
	return word;
}

bool pfi_text_is(const char *text, size_t length, const char *lower, size_t lower_length)
{
	size_t i = 0;

	if (length != lower_length)
		return false;
	if (length >= 8) {
		for (; i + 8 < length; i += 8)
			if (!word_is(load(text + i, 8), load(lower + i, 8)))
				return false;
		return word_is(load(text + length - 8, 8), load(lower + length - 8, 8));
	}
	if (length >= 4)
		return word_is(load(text, 4), load(lower, 4)) &&
		       word_is(load(text + length - 4, 4), load(lower + length - 4, 4));
	for (; i < length; i++)
		if (!word_is(load(text + i, 1), load(lower + i, 1)))
			return false;
	return true;
}

enum pfi_field_id pfi_field_find(const char *name, size_t length)
{
	if (length == 0)
		return PFI_FIELD_OTHER;
	const unsigned first = (unsigned char)name[0] | 0x20;
	const unsigned last = (unsigned char)name[length - 1] | 0x20;
	const enum pfi_field_id id = (enum pfi_field_id)slots[SLOT(length, first, last)];

	if (id == PFI_FIELD_OTHER || !pfi_text_is(name, length, known[id].name, known[id].length))
		return PFI_FIELD_OTHER;
	return id;
}

unsigned pfi_field_rules(enum pfi_field_id id)
{
	return known[id].rules;
}

const char *pfi_field_name(enum pfi_field_id id)
{
	return known[id].name;
}

bool pfi_token_valid(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!pfi_char_is(text[i], PFI_CHAR_TOKEN))
			return false;
	return length > 0;
}

/* Bit 7 of every one of 8 bytes that is below 0x20, or 0x7f. The borrow may also flag a byte after such a one, so only
 * the first is certain. */
static inline uint64_t controls_in(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t low = (word - ones * 0x20) & ~word;
	const uint64_t delete = word ^ (ones * 0x7f);

	return (low | ((delete - ones) & ~delete)) & (ones * 0x80);
}

/* 8 bytes as a number whose lowest byte is the first. */
static inline uint64_t load_first_lowest(const char *text)
{
	uint64_t word;

	memcpy(&word, text, sizeof word);
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(word) : word;
}

const char *pfi_value_end(const char *text, const char *end)
{
	while (end - text >= 8) {
		const uint64_t controls = controls_in(load_first_lowest(text));

		if (controls == 0) {
			text += 8;
			continue;
		}
		text += __builtin_ctzll(controls) / 8;
		if (!pfi_char_is(*text, PFI_CHAR_TEXT))
			return text;
		text++; /* a tab */
	}
	while (text < end && pfi_char_is(*text, PFI_CHAR_TEXT))
		text++;
	return text;
}

bool pfi_value_valid(const char *text, size_t length)
{
	return pfi_value_end(text, text + length) == text + length;
}
