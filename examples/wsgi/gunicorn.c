/* Adds the remedy to error messages about worker classes and files that only gunicorn has. */
#include "gunicorn.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ASGI "ASGI is not implemented yet: prefork-wsgi serves WSGI"

#define MANY "threads, or libev with --threads, serve many connections at a time, though the application blocks"

/* Prefixes of worker classes. */
static const struct {
	const char *class, *instead;
} classes[] = {
	{ "geventwebsocket", MANY },
	{ "asgi", ASGI },
	{ "uvicorn", "name its worker class: uvicorn.workers.UvicornWorker" },
	{ "aiohttp", "name its worker class: aiohttp.GunicornWebWorker" },
};

/* "-k: expected one of sync, threads, libev, gthread, not 'gevent'". */
static bool explain_class(const char *message)
{
	static const char words[] = ", not '";
	const char *at = strstr(message, "expected one of sync, ") ? strstr(message, words) : NULL;

	for (size_t i = 0; at && i < sizeof classes / sizeof classes[0]; i++) {
		const char *class = at + sizeof words - 1;

		if (strncmp(class, classes[i].class, strlen(classes[i].class)) != 0)
			continue;
		(void)prefork_fail(0, "%.*s', which is gunicorn's: %s", (int)(class + strcspn(class, "'") - message),
		                   message, classes[i].instead);
		return true;
	}
	return false;
}

/* The library checks the default that set_defaults() has taken from the environment after it has read all sources; its
 * message then does not name the variable. */
static bool explain_proxies(const struct prefork_settings *settings, const char *message)
{
	static const char name[] = "forwarded_allow_ips: ";
	const char *why = message + sizeof name - 1, *end = strstr(message, " (");
	enum prefork_origin origin = PREFORK_FROM_ROW;

	(void)prefork_settings_origin(settings, "forwarded_allow_ips", &origin, NULL);
	if (origin != PREFORK_FROM_HOST || strncmp(message, name, sizeof name - 1) != 0)
		return false;
	(void)prefork_fail(0, "FORWARDED_ALLOW_IPS: %.*s", end ? (int)(end - why) : (int)strlen(why), why);
	return true;
}

int wsgi_gunicorn_explain(int error, const struct prefork_settings *settings)
{
	char message[1024];

	(void)snprintf(message, sizeof message, "%s", prefork_error());
	if (!explain_class(message))
		(void)explain_proxies(settings, message);
	return error;
}
