/* Adds the remedy to error messages about options, classes and files that only gunicorn has. */
#include "gunicorn.h"

#include <prefork/error.h>
#include <prefork/settings.h>
#include <prefork/version.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NOT_YET "not implemented yet"
#define PROXY "not implemented yet: use a proxy such as nginx in front"
#define LOGGING "configure Python's logging in the application"
#define STRICT "prefork-wsgi always refuses what it permits"
#define ASGI "ASGI is not implemented yet: prefork-wsgi serves WSGI"

/* Flags of gunicorn that prefork-wsgi does not have, as opposed to misspelt flags. */
static const struct {
	const char *flag, *instead;
} flags[] = {
	{ "--asgi-disconnect-grace-period", ASGI },
	{ "--asgi-lifespan", ASGI },
	{ "--asgi-loop", ASGI },
	{ "--ca-certs", PROXY },
	{ "--cert-reqs", PROXY },
	{ "--certfile", PROXY },
	{ "--ciphers", PROXY },
	{ "--control-socket", NOT_YET ": use signals and --config" },
	{ "--control-socket-mode", NOT_YET },
	{ "--dirty-app", NOT_YET },
	{ "--dirty-graceful-timeout", NOT_YET },
	{ "--dirty-threads", NOT_YET },
	{ "--dirty-timeout", NOT_YET },
	{ "--dirty-workers", NOT_YET },
	{ "--do-handshake-on-connect", PROXY },
	{ "--dogstatsd-tags", NOT_YET },
	{ "--enable-backlog-metric", NOT_YET },
	{ "--forwarder-headers", NOT_YET },
	{ "--http-parser", "there is only one parser: remove it" },
	{ "--http-protocols", PROXY },
	{ "--http2-cleartext", PROXY },
	{ "--http2-initial-window-size", PROXY },
	{ "--http2-max-concurrent-streams", PROXY },
	{ "--http2-max-frame-size", PROXY },
	{ "--http2-max-header-list-size", PROXY },
	{ "--keyfile", PROXY },
	{ "--log-config", LOGGING },
	{ "--log-config-json", LOGGING },
	{ "--logger-class", LOGGING },
	{ "--no-control-socket", "there is no control socket: remove it" },
	{ "--no-sendfile", "files are always sent by sendfile(2): remove it" },
	{ "--paste", "name a call that creates the application: MODULE:FACTORY(\"FILE\")" },
	{ "--paste-global", "name a call that creates the application: MODULE:FACTORY(\"FILE\")" },
	{ "--paster", "name a call that creates the application: MODULE:FACTORY(\"FILE\")" },
	{ "--permit-obsolete-folding", STRICT },
	{ "--permit-unconventional-http-version", STRICT },
	{ "--reload-engine", "--reload uses inotify: remove it" },
	{ "--root-path", ASGI ": for WSGI set the environment variable SCRIPT_NAME" },
	{ "--spew", "use python3 -m trace" },
	{ "--ssl-version", PROXY },
	{ "--statsd-host", NOT_YET },
	{ "--statsd-prefix", NOT_YET },
	{ "--strip-header-spaces", STRICT },
	{ "--suppress-ragged-eofs", PROXY },
};

#define MANY "threads, or libev with --threads, serve many connections at a time, though the application blocks"

/* Prefixes of worker classes. */
static const struct {
	const char *class, *instead;
} classes[] = {
	{ "geventwebsocket", MANY },
	{ "asgi", ASGI },
	{ "uvicorn", ASGI ": run the application with uvicorn" },
	{ "gunicorn.workers.", "name the class by one word" },
};

/* The error message of the library: "GUNICORN_CMD_ARGS: unknown option '--spew'; ...". */
static bool explain_flag(const char *message)
{
	static const char words[] = "unknown option '";
	const char *at = strstr(message, words);

	for (size_t i = 0; at && i < sizeof flags / sizeof flags[0]; i++) {
		const size_t length = strlen(flags[i].flag);
		const char *flag = at + sizeof words - 1;

		if (strncmp(flag, flags[i].flag, length) != 0 || flag[length] != '\'')
			continue;
		(void)prefork_fail(0, "%.*s%s is gunicorn's, and not available in this version of prefork-wsgi (%s): %s",
		                   (int)(at - message), message, flags[i].flag, prefork_version(), flags[i].instead);
		return true;
	}
	return false;
}

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

static bool is_python_file(const char *name)
{
	const size_t length = strlen(name);

	return strncmp(name, "python:", 7) == 0 || (length > 3 && strcmp(name + length - 3, ".py") == 0);
}

/* Otherwise the operator sees a syntax error of an INI file. */
static bool explain_file(const struct prefork_settings *settings, const char *message)
{
	const char *name = prefork_settings_text(settings, "config");
	const char *place = "";

	if (name == NULL || !is_python_file(name) || strstr(message, name) == NULL)
		return false;
	(void)prefork_settings_origin(settings, "config", NULL, &place);
	(void)prefork_fail(0, "%s: %s: configuration files in Python are not supported, since they would run in the "
	                      "arbiter; convert it once with prefork-wsgi --convert-config %s >prefork.ini",
	                   place, name, strncmp(name, "python:", 7) == 0 ? "FILE" : name);
	return true;
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
	if (!explain_flag(message) && !explain_class(message) && !explain_proxies(settings, message))
		(void)explain_file(settings, message);
	return error;
}
