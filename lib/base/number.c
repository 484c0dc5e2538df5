/* Parses and formats whole numbers, octal modes, durations, sizes and yes or no. */
#include "base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Read digits of `base` at *at, and advance *at beyond them. */
static int read_digits(const char **at, int base, int64_t *ret)
{
	const char *c = *at;
	int64_t value = 0;

	for (; is_digit(*c) && *c - '0' < base; c++)
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, *c - '0', &value))
			return -ERANGE;
	if (c == *at)
		return -EINVAL;
	*at = c;
	*ret = value;
	return 0;
}

int pfi_parse_whole(const char *text, int64_t *ret)
{
	const bool negative = *text == '-';
	const char *at = text + negative;
	int64_t value = 0;
	const int r = read_digits(&at, 10, &value);

	/* "99999999999999999999x": the text is not a number, so -EINVAL and not -ERANGE. */
	if (r == -ERANGE && text[negative + strspn(text + negative, "0123456789")] != '\0')
		return -EINVAL;
	if (r < 0)
		return r;
	if (*at != '\0')
		return -EINVAL;
	*ret = negative ? -value : value;
	return 0;
}

int pfi_parse_octal(const char *text, int64_t *ret)
{
	const char *at = strncmp(text, "0o", 2) == 0 ? text + 2 : text;
	int64_t value = 0;
	const int r = read_digits(&at, 8, &value);

	if (r < 0)
		return r;
	if (*at != '\0')
		return -EINVAL;
	*ret = value;
	return 0;
}

static bool equals_ignoring_case(const char *text, const char *word)
{
	for (; *text != '\0' && *word != '\0'; text++, word++)
		if ((*text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a' : *text) != *word)
			return false;
	return *text == *word;
}

int pfi_parse_bool(const char *text, int64_t *ret)
{
	static const char *const words[][2] = {
		{ "no", "yes" }, { "off", "on" }, { "false", "true" }, { "0", "1" },
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		for (int value = 0; value < 2; value++)
			if (equals_ignoring_case(text, words[i][value])) {
				*ret = value;
				return 0;
			}
	return -EINVAL;
}

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first: formatting uses the first unit that divides the number. */
static const struct unit times[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};
static const struct unit sizes[] = {
	{ "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 },
};

static int64_t factor_of(const char *name, const struct unit *units, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (equals_ignoring_case(name, units[i].name))
			return units[i].factor;
	return 0;
}

/* The decimal places: *ret_digits / *ret_scale of the unit. Beyond the ninth place only zeros are accepted. */
static int read_fraction(const char **at, int64_t *ret_digits, int64_t *ret_scale)
{
	int64_t digits = 0, scale = 1;
	const char *c = *at;

	for (; is_digit(*c); c++) {
		if (scale >= INT64_C(1000000000)) {
			if (*c != '0')
				return -ERANGE;
			continue;
		}
		digits = digits * 10 + (*c - '0');
		scale *= 10;
	}
	if (c == *at)
		return -EINVAL;
	*at = c;
	*ret_digits = digits;
	*ret_scale = scale;
	return 0;
}

int pfi_parse_duration(const char *text, int64_t *ret_ms)
{
	const char *at = text;
	int64_t whole = 0, digits = 0, scale = 1, factor, ms;
	int r = read_digits(&at, 10, &whole);

	if (r == 0 && *at == '.') {
		at++;
		r = read_fraction(&at, &digits, &scale);
	}
	if (r < 0)
		return r;
	factor = *at == '\0' ? 1000 : factor_of(at, times, sizeof times / sizeof times[0]);
	if (factor == 0)
		return -EINVAL;
	/* digits < 10^9 and factor < 10^8, so the product does not overflow. */
	if (digits * factor % scale != 0 || __builtin_mul_overflow(whole, factor, &ms) ||
	    __builtin_add_overflow(ms, digits * factor / scale, &ms))
		return -ERANGE;
	*ret_ms = ms;
	return 0;
}

int pfi_parse_size(const char *text, int64_t *ret_bytes)
{
	const char *at = text;
	int64_t bytes = 0;
	const int r = read_digits(&at, 10, &bytes);
	const int64_t factor = r < 0 ? 0 : *at == '\0' ? 1 : factor_of(at, sizes, sizeof sizes / sizeof sizes[0]);

	if (r < 0)
		return r;
	if (factor == 0)
		return -EINVAL;
	if (__builtin_mul_overflow(bytes, factor, &bytes))
		return -ERANGE;
	*ret_bytes = bytes;
	return 0;
}

void pfi_text_add_duration(struct pfi_text *text, int64_t ms)
{
	for (size_t i = 0; ms != 0 && i < sizeof times / sizeof times[0]; i++)
		if (ms % times[i].factor == 0) {
			pfi_text_format(text, "%" PRId64 "%s", ms / times[i].factor, times[i].name);
			return;
		}
	pfi_text_add_char(text, '0');
}

void pfi_text_add_size(struct pfi_text *text, int64_t bytes)
{
	for (size_t i = 0; bytes != 0 && i < sizeof sizes / sizeof sizes[0]; i++)
		if (bytes % sizes[i].factor == 0) {
			pfi_text_format(text, "%" PRId64 "%s", bytes / sizes[i].factor, sizes[i].name);
			return;
		}
	pfi_text_format(text, "%" PRId64, bytes);
}
