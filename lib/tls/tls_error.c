/* Appends the reason of OpenSSL to error messages. */
#include "tls/tls_error.h"

#include <prefork/error.h>

#include <openssl/err.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *pfi_tls_reason(void)
{
	const unsigned long code = ERR_get_error();
	const char *reason = "";

	if (code != 0 && ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	else if (code != 0 && ERR_reason_error_string(code) != NULL)
		reason = ERR_reason_error_string(code);
	else if (code != 0)
		reason = "an error of OpenSSL";
	ERR_clear_error();
	return reason;
}

int pfi_tls_fail(int error, const char *format, ...)
{
	const char *const reason = pfi_tls_reason();
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return prefork_fail(error, "%s%s%s", text, *reason != '\0' ? ": " : "", reason);
}
