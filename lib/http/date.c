/* Formats dates without the C library, whose functions take locks and depend on the locale. */
#include "http/date.h"

#include <string.h>

static void put_two(char *at, unsigned value)
{
	at[0] = (char)('0' + value / 10 % 10);
	at[1] = (char)('0' + value % 10);
}

struct civil {
	unsigned year, month, day; /* month 0 is March */
};

static struct civil civil_of(uint64_t day)
{
	/* Count from the 1st of March of the year 0, so that the leap day is the last of the year: then
	 * the 146097 days of four centuries divide evenly, and months are 153 days per five. */
	const uint64_t since = day + 719468;
	const uint64_t era = since / 146097;
	const unsigned of_era = (unsigned)(since % 146097);
	const unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	const unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	const unsigned month = (5 * of_year + 2) / 153;

	return (struct civil){
		.year = (unsigned)(era * 400) + year_of_era + (month >= 10),
		.month = month,
		.day = of_year - (153 * month + 2) / 5 + 1,
	};
}

static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";

static void put_clock(char *at, unsigned second)
{
	put_two(at, second / 3600);
	put_two(at + 3, second / 60 % 60);
	put_two(at + 6, second % 60);
}

void pfi_date_format(uint64_t seconds, char *text)
{
	static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
	const uint64_t day = seconds / 86400;
	const struct civil civil = civil_of(day);

	memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", PFI_DATE_LENGTH);
	memcpy(text, days + day % 7 * 3, 3);
	put_two(text + 5, civil.day);
	memcpy(text + 8, months + civil.month * 3, 3);
	put_two(text + 12, civil.year / 100);
	put_two(text + 14, civil.year % 100);
	put_clock(text + 17, (unsigned)(seconds % 86400));
}

void pfi_date_format_log(uint64_t seconds, int offset_s, char *text)
{
	const uint64_t local = seconds + (uint64_t)(int64_t)offset_s;
	const struct civil civil = civil_of(local / 86400);
	const unsigned minutes = (unsigned)(offset_s < 0 ? -offset_s : offset_s) / 60;

	memcpy(text, "[01/Jan/1970:00:00:00 +0000]", PFI_DATE_LOG_LENGTH);
	put_two(text + 1, civil.day);
	memcpy(text + 4, months + civil.month * 3, 3);
	put_two(text + 8, civil.year / 100);
	put_two(text + 10, civil.year % 100);
	put_clock(text + 13, (unsigned)(local % 86400));
	text[22] = offset_s < 0 ? '-' : '+';
	put_two(text + 23, minutes / 60);
	put_two(text + 25, minutes % 60);
}

void pfi_date_format_iso(uint64_t seconds, int offset_s, char *text)
{
	const uint64_t local = seconds + (uint64_t)(int64_t)offset_s;
	const struct civil civil = civil_of(local / 86400);
	const unsigned minutes = (unsigned)(offset_s < 0 ? -offset_s : offset_s) / 60;

	memcpy(text, "1970-01-01T00:00:00+00:00", PFI_DATE_ISO_LENGTH);
	put_two(text, civil.year / 100);
	put_two(text + 2, civil.year % 100);
	put_two(text + 5, (civil.month + 2) % 12 + 1);
	put_two(text + 8, civil.day);
	put_clock(text + 11, (unsigned)(local % 86400));
	text[19] = offset_s < 0 ? '-' : '+';
	put_two(text + 20, minutes / 60);
	put_two(text + 23, minutes % 60);
}

const char *pfi_date_cached(struct pfi_date_cache *cache, uint64_t seconds)
{
	if (cache->seconds != seconds || cache->text[0] == '\0') {
		pfi_date_format(seconds, cache->text);
		cache->seconds = seconds;
	}
	return cache->text;
}
