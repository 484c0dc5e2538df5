#include "gunicorn.h"

#include <prefork/error.h>
#include <prefork/settings.h>
#include <prefork/version.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NOT_YET "it is not built yet"
#define PROXY "it is not built yet: have a proxy such as nginx in front do it"
#define SUPERVISOR "leave that to what starts the program, such as systemd"
#define LOGGING "the application may set up Python's logging itself"
#define STRICT "what it allows is refused here"
#define ASGI "ASGI is not built yet: this program serves WSGI"

/* Told apart from typing mistakes, by the flag. */
static const struct {
	const char *flag, *instead;
} flags[] = {
	{ "--asgi-disconnect-grace-period", ASGI },
	{ "--asgi-lifespan", ASGI },
	{ "--asgi-loop", ASGI },
	{ "--ca-certs", PROXY },
	{ "--capture-output", SUPERVISOR ", which may collect standard output in one place" },
	{ "--cert-reqs", PROXY },
	{ "--certfile", PROXY },
	{ "--ciphers", PROXY },
	{ "--control-socket", NOT_YET ": signals and --config do what it does" },
	{ "--control-socket-mode", NOT_YET },
	{ "--daemon", SUPERVISOR },
	{ "-D", SUPERVISOR },
	{ "--dirty-app", NOT_YET },
	{ "--dirty-graceful-timeout", NOT_YET },
	{ "--dirty-threads", NOT_YET },
	{ "--dirty-timeout", NOT_YET },
	{ "--dirty-workers", NOT_YET },
	{ "--disable-redirect-access-to-syslog", "nothing goes to syslog: leave it out" },
	{ "--do-handshake-on-connect", PROXY },
	{ "--dogstatsd-tags", NOT_YET },
	{ "--enable-backlog-metric", NOT_YET },
	{ "--enable-stdio-inheritance", "the standard streams are always inherited: leave it out" },
	{ "-R", "the standard streams are always inherited: leave it out" },
	{ "--forwarder-headers", NOT_YET },
	{ "--group", "start the program in that group (Group= of systemd, or setpriv --regid)" },
	{ "-g", "start the program in that group (Group= of systemd, or setpriv --regid)" },
	{ "--http-parser", "there is one parser: leave it out" },
	{ "--http-protocols", PROXY },
	{ "--http2-cleartext", PROXY },
	{ "--http2-initial-window-size", PROXY },
	{ "--http2-max-concurrent-streams", PROXY },
	{ "--http2-max-frame-size", PROXY },
	{ "--http2-max-header-list-size", PROXY },
	{ "--initgroups", "start the program as that user (User= of systemd, or setpriv --init-groups)" },
	{ "--keyfile", PROXY },
	{ "--log-config", LOGGING },
	{ "--log-config-json", LOGGING },
	{ "--log-syslog", SUPERVISOR ", whose journal takes standard error" },
	{ "--log-syslog-facility", SUPERVISOR },
	{ "--log-syslog-prefix", SUPERVISOR },
	{ "--log-syslog-to", SUPERVISOR },
	{ "--logger-class", LOGGING },
	{ "--no-control-socket", "there is no control socket: leave it out" },
	{ "--no-sendfile", "files are always sent by the kernel: leave it out" },
	{ "--paste", "name a call that makes the application: MODULE:FACTORY(\"FILE\")" },
	{ "--paste-global", "name a call that makes the application: MODULE:FACTORY(\"FILE\")" },
	{ "--paster", "name a call that makes the application: MODULE:FACTORY(\"FILE\")" },
	{ "--permit-obsolete-folding", STRICT },
	{ "--permit-unconventional-http-version", STRICT },
	{ "--pid", "systemd knows the main process by itself (MainPID); a shell by $!" },
	{ "-p", "systemd knows the main process by itself (MainPID); a shell by $!" },
	{ "--protocol", "the uwsgi protocol is not built yet: have the proxy speak HTTP" },
	{ "--proxy-allow-from", NOT_YET ": X-Forwarded-Proto is taken from --forwarded-allow-ips" },
	{ "--proxy-protocol", NOT_YET ": X-Forwarded-Proto is taken from --forwarded-allow-ips" },
	{ "--reload-engine", "--reload finds out by itself how to watch: leave it out" },
	{ "--root-path", ASGI ": the variable SCRIPT_NAME is the path for WSGI" },
	{ "--spew", "python3 -m trace does that" },
	{ "--ssl-version", PROXY },
	{ "--statsd-host", NOT_YET },
	{ "--statsd-prefix", NOT_YET },
	{ "--strip-header-spaces", STRICT },
	{ "--suppress-ragged-eofs", PROXY },
	{ "--umask", "--socket-mode is the mode of a unix socket; for files, start the program with it (UMask= of systemd)" },
	{ "-m", "--socket-mode is the mode of a unix socket; for files, start the program with it (UMask= of systemd)" },
	{ "--user", "start the program as that user (User= of systemd, or setpriv --reuid)" },
	{ "-u", "start the program as that user (User= of systemd, or setpriv --reuid)" },
	{ "--uwsgi-allow-from", "the uwsgi protocol is not built yet: have the proxy speak HTTP" },
};

#define MANY "threads, or libev with --threads, serve many clients at a time, whatever the application blocks in"

/* As the beginning of a worker class. */
static const struct {
	const char *class, *instead;
} classes[] = {
	{ "gevent", MANY },
	{ "eventlet", MANY },
	{ "tornado", MANY },
	{ "geventwebsocket", MANY },
	{ "asgi", ASGI },
	{ "uvicorn", ASGI ": run the application by uvicorn itself" },
	{ "gunicorn.workers.", "a class is named here by one word" },
};

/* "GUNICORN_CMD_ARGS: there is no option '--umask'; ...": the library's error message, and in it the flag. */
static bool explain_flag(const char *message)
{
	static const char words[] = "there is no option '";
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

/* It would be a confusing syntax error of an INI file. */
static bool explain_file(const struct prefork_settings *settings, const char *message)
{
	const char *name = prefork_settings_text(settings, "config");
	const char *place = "";

	if (name == NULL || !is_python_file(name) || strstr(message, name) == NULL)
		return false;
	(void)prefork_settings_origin(settings, "config", NULL, &place);
	(void)prefork_fail(0, "%s: %s: a configuration in Python is not read here, since it would run inside the arbiter; "
	                      "make a file of it once, by prefork-wsgi --convert-config %s >prefork.ini",
	                   place, name, strncmp(name, "python:", 7) == 0 ? "FILE" : name);
	return true;
}

/* The default that set_defaults() took from the environment is looked at when everything has been read. */
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
