#include "base/syslog_line.h"
#include "os/syslog.h"

#include "../support.h"

#include <prefork/log.h>

static const struct {
	const char *name;
	int number;
} facilities[] = {
	{ "kern", 0 }, { "user", 1 }, { "daemon", 3 }, { "auth", 4 }, { "security", 4 }, { "authpriv", 10 }, { "ftp", 11 },
	{ "local0", 16 }, { "LOCAL7", 23 }, { "LOG_USER", 1 }, { "log_local3", 19 }, { "local8", -1 }, { "", -1 },
	{ "LOG_", -1 }, { "users", -1 },
};

START_TEST(a_facility_has_its_number)
{
	ck_assert_int_eq(pfi_syslog_facility(facilities[_i].name), facilities[_i].number);
}
END_TEST

static const struct {
	int facility, level;
	int64_t local_s;
	const char *host, *expected;
} lines[] = {
	{ 1, PREFORK_LOG_INFO, 0, NULL, "<14>Jan  1 00:00:00 shop.error[47]: text" },
	{ 1, PREFORK_LOG_DEBUG, 0, NULL, "<15>Jan  1 00:00:00 shop.error[47]: text" },
	{ 3, PREFORK_LOG_WARNING, 1732881599, NULL, "<28>Nov 29 11:59:59 shop.error[47]: text" },
	{ 16, PREFORK_LOG_ERROR, 1733011200, "here", "<131>Dec  1 00:00:00 here shop.error[47]: text" },
	{ 23, PREFORK_LOG_CRITICAL, 0, NULL, "<186>Jan  1 00:00:00 shop.error[47]: text" },
	{ 0, 99, 0, NULL, "<5>Jan  1 00:00:00 shop.error[47]: text" },
};

static size_t format(char bytes[PFI_SYSLOG_LINE_MAX], const char *message, size_t length, int i)
{
	const struct pfi_syslog_line line = { lines[i].facility, lines[i].level, lines[i].local_s, lines[i].host,
					      "shop.error", 47 };

	return pfi_syslog_format(bytes, &line, message, length);
}

START_TEST(a_line_has_priority_time_and_tag)
{
	char bytes[PFI_SYSLOG_LINE_MAX];
	const size_t size = format(bytes, "text", 4, _i);

	ck_assert_uint_eq(size, strlen(lines[_i].expected));
	ck_assert_mem_eq(bytes, lines[_i].expected, size);
}
END_TEST

START_TEST(a_long_line_is_cut_at_a_character)
{
	char bytes[PFI_SYSLOG_LINE_MAX], message[3000];
	const size_t head = strlen(lines[0].expected) - 4, fits = PFI_SYSLOG_LINE_MAX - 1 - head;

	memset(message, 'x', sizeof message);
	ck_assert_uint_eq(format(bytes, message, fits, 0), PFI_SYSLOG_LINE_MAX - 1);
	ck_assert_int_eq(bytes[PFI_SYSLOG_LINE_MAX - 2], 'x');
	ck_assert_uint_eq(format(bytes, message, fits + 1, 0), PFI_SYSLOG_LINE_MAX - 1);
	ck_assert_mem_eq(bytes + PFI_SYSLOG_LINE_MAX - 5, "x...", 4);
	for (size_t i = 0; i < 4; i++) { /* characters of two bytes, from each alignment */
		memset(message, 'x', i);
		for (size_t at = i; at + 1 < sizeof message; at += 2)
			memcpy(message + at, "\xc3\xa4", 2);
		const size_t size = format(bytes, message, sizeof message - 2, 0);

		ck_assert_uint_ge(size, PFI_SYSLOG_LINE_MAX - 2);
		ck_assert_mem_eq(bytes + size - 3, "...", 3);
		ck_assert_msg((bytes[size - 4] & 0xff) == 0xa4, "cut within a character");
	}
}
END_TEST

static const struct {
	const char *text;
	int result;
} addresses[] = {
	{ "unix:///dev/log", 0 },
	{ "unix:///dev/log#dgram", 0 },
	{ "unix:///dev/log#stream", -EINVAL },
	{ "unix://", -EINVAL },
	{ "udp://localhost:514", 0 },
	{ "udp://127.0.0.1", 0 },
	{ "udp://[::1]:514", 0 },
	{ "udp://[::1]", 0 },
	{ "udp://::1", -EINVAL },
	{ "udp://[]:1", -EINVAL },
	{ "udp://loghost:514", -EINVAL },
	{ "udp://127.0.0.1:0", -EINVAL },
	{ "udp://127.0.0.1:65536", -EINVAL },
	{ "udp://", -EINVAL },
	{ "tcp://127.0.0.1:514", -EINVAL },
	{ "/dev/log", -EINVAL },
	{ "", -EINVAL },
};

START_TEST(an_address_is_read_or_refused)
{
	struct sockaddr_storage address;
	socklen_t size;

	ck_assert_int_eq(pfi_syslog_read(addresses[_i].text, &address, &size), addresses[_i].result);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("syslog");
	TCase *tc = new_case(suite, "syslog");

	tcase_add_loop_test(tc, a_facility_has_its_number, 0, sizeof facilities / sizeof facilities[0]);
	tcase_add_loop_test(tc, a_line_has_priority_time_and_tag, 0, sizeof lines / sizeof lines[0]);
	tcase_add_test(tc, a_long_line_is_cut_at_a_character);
	tcase_add_loop_test(tc, an_address_is_read_or_refused, 0, sizeof addresses / sizeof addresses[0]);
	return run_suite(suite);
}
