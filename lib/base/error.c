/* The error message of each thread, and the exit status for an error. */
#include <prefork/error.h>

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[1024];

const char *prefork_error(void)
{
	return message;
}

void prefork_error_clear(void)
{
	message[0] = '\0';
}

int prefork_fail(int error, const char *format, ...)
{
	char text[sizeof message]; /* an argument may point into `message` */
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format != NULL ? format : "", arguments);
	va_end(arguments);
	(void)snprintf(message, sizeof message, "%s", text);
	return error;
}

int prefork_exit_status(int result)
{
	switch (result) {
	case PREFORK_ECONFIG:
	case PREFORK_EUSAGE:
		return 2;
	case PREFORK_EBOOT:
		return 3;
	case PREFORK_EAPP:
		return 4;
	case PREFORK_EFATAL:
		return 78;
	default:
		return result < 0 ? 1 : 0;
	}
}
