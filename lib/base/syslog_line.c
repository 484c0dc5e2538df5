#include "base/syslog_line.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>
#include <time.h>

enum { SEVERITY_NOTICE = 5 };

int pfi_syslog_facility(const char *name)
{
	static const char *const names[] = {
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		[16] = "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	};

	if (strncasecmp(name, "LOG_", 4) == 0)
		name += 4;
	if (strcasecmp(name, "security") == 0) /* the old name of auth */
		name = "auth";
	for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
		if (names[i] != NULL && strcasecmp(name, names[i]) == 0)
			return i;
	}
	return -1;
}

static int severity(int level)
{
	static const int severities[] = { 7, 6, 4, 3, 2 }; /* debug, info, warning, error, critical */

	return level >= 0 && level < (int)(sizeof severities / sizeof severities[0]) ? severities[level] : SEVERITY_NOTICE;
}

/* End a line that was cut with "...", not within a UTF-8 character. */
static void cut(struct pfi_text *text)
{
	text->length = text->size - 4;
	while (text->length > 0 && ((unsigned char)text->bytes[text->length] & 0xc0) == 0x80)
		text->length--;
	text->cut = false;
	pfi_text_add(text, "...");
}

size_t pfi_syslog_format(char bytes[PFI_SYSLOG_LINE_MAX], const struct pfi_syslog_line *line, const char *message,
			 size_t length)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	const time_t when = (time_t)line->local_s;
	struct pfi_text text;
	struct tm tm;

	(void)gmtime_r(&when, &tm);
	pfi_text_init(&text, bytes, PFI_SYSLOG_LINE_MAX);
	pfi_text_format(&text, "<%d>%s %2d %02d:%02d:%02d %s%s%s[%d]: ", line->facility * 8 + severity(line->level),
			months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, line->host != NULL ? line->host : "",
			line->host != NULL ? " " : "", line->identity, line->pid);
	pfi_text_add_bytes(&text, message, length);
	if (text.cut)
		cut(&text);
	return text.length;
}
