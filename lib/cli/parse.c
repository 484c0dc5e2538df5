/* Reads the settings from all sources, checks them, and carries out --help, --version, --print-config and
 * --check-config. */
#include <prefork/error.h>
#include <prefork/log.h>
#include <prefork/version.h>
#include <prefork/settings.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/syslog_line.h"
#include "base/text.h"
#include "base/shell_words.h"
#include "cli/cli.h"
#include "listener/binds.h"
#include "listener/owner.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "model/upgrade_steps.h"
#include "os/pidfile.h"
#include "os/path.h"
#include "os/reexec.h"
#include "os/start_record.h"
#include "os/syslog.h"
#include "worker/run_as.h"
#include "worker/spawn_context.h"
#include "worker/take_rlimits.h"

static int out_of_memory(void)
{
	return prefork_fail(-ENOMEM, "out of memory for the settings");
}

/* Read flags from the variable that the application names, for example GUNICORN_CMD_ARGS. --help and --version in it
 * are errors: a service manager that sets them by mistake would see a program that exits with status 0. */
static int read_variable(struct prefork_settings *settings)
{
	const char *const name = settings->argument_variable;
	const char *const line = name != NULL ? getenv(name) : NULL;
	enum pfi_cli_action action;
	char **words;
	size_t count;
	int r;

	if (line == NULL)
		return 0;
	r = pfi_split_words(line, &words, &count);
	if (r < 0)
		return r == -ENOMEM ? out_of_memory()
				    : prefork_fail(PREFORK_ECONFIG, "%s: a quote is not closed", name);
	r = pfi_read_arguments(settings, words, count, name, &action);
	free(words);
	if (r == 0 && action != PFI_CLI_RUN)
		r = prefork_fail(PREFORK_ECONFIG, "%s: --help and --version work on the command line only", name);
	return r;
}

static int read_config_file(struct prefork_settings *settings)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	const char *const path = values->config;
	char bytes[4096];
	struct pfi_text text;

	const char *const place = pfi_settings_place(settings, &values->config);
	const int r = pfi_settings_read_file(settings, path, place);

	if (r <= 0 || path == NULL)
		return r < 0 ? r : 0;
	pfi_text_init(&text, bytes, sizeof bytes);
	if (path[0] != '/' && settings->directory != NULL)
		pfi_text_format(&text, "%s/", settings->directory);
	pfi_text_add(&text, path);
	if (text.cut)
		return prefork_fail(PREFORK_ECONFIG, "%s: the path is too long", place);
	return pfi_read_file(settings, bytes, place);
}

static int check_syslog(const struct prefork_settings *settings)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	struct sockaddr_storage address;
	socklen_t size;

	if (!values->syslog)
		return 0;
	if (pfi_syslog_facility(values->syslog_facility) < 0)
		return prefork_fail(PREFORK_ECONFIG, "syslog_facility (%s): there is no syslog facility '%.40s'",
				    pfi_settings_place(settings, &values->syslog_facility), values->syslog_facility);
	if (pfi_syslog_read(values->syslog_addr, &address, &size) < 0)
		return prefork_fail(PREFORK_ECONFIG, "syslog_addr (%s): %s",
				    pfi_settings_place(settings, &values->syslog_addr), prefork_error());
	return 0;
}

static int check_log(const struct prefork_settings *settings)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);

	if (prefork_log_check(values->errorlog, STDERR_FILENO) >= 0)
		return check_syslog(settings);
	return prefork_fail(PREFORK_ECONFIG, "errorlog (%s): %s", pfi_settings_place(settings, &values->errorlog),
			    prefork_error());
}

/* On a reload, the owners of sockets and workers are not looked up again: they cannot change, and getpwnam(3) may
 * block. */
static int check_owner(const struct prefork_settings *settings, bool is_first)
{
	struct pfi_credentials credentials = { 0 };
	uid_t uid;
	gid_t gid;
	int r = is_first ? pfi_owner_read(settings, &uid, &gid) : 0;

	if (r == 0 && is_first)
		r = pfi_run_as_read(settings, &credentials);
	pfi_credentials_finish(&credentials);
	return r;
}

/* The request to a running server that the command line names instead of a start, or NULL. */
static const char *server_request(const struct prefork_settings *settings, const char **ret_pidfile)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);

	*ret_pidfile = values->send_reload;
	if (values->send_reload != NULL && values->send_reload[0] != '\0')
		return "reload";
	*ret_pidfile = values->send_upgrade;
	return values->send_upgrade != NULL && values->send_upgrade[0] != '\0' ? "upgrade" : NULL;
}

/* The other settings of such a command are those of the server that runs. */
static int check_request(const struct prefork_settings *settings)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	const char *pidfile;

	if (strcmp(server_request(settings, &pidfile), "reload") == 0 && values->send_upgrade != NULL &&
	    values->send_upgrade[0] != '\0')
		return prefork_fail(PREFORK_EUSAGE, "--send-reload and --send-upgrade exclude each other");
	return 0;
}

/* Refuse a worker class of the library that this build does not have. Only --check-config does so here: otherwise the
 * application can still register a strategy of that name. */
static int check_worker_class(const struct prefork_settings *settings)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	const char *const name = values->worker_class;

	if (pfi_settings_is_added_choice(settings, &values->worker_class, name) || pfi_strategy_by_name(name) != NULL)
		return 0;
	return prefork_fail(PREFORK_ECONFIG, "worker_class (%s): this build has no %s",
			    pfi_settings_place(settings, &values->worker_class), name);
}

static int check_pidfile(const struct prefork_settings *settings)
{
	const char *const path = pfi_library_settings(settings)->pidfile;

	return path != NULL && *path != '\0' ? pfi_pidfile_check(path) : 0;
}

/* For --check-config, before the checks of the application, the last of which may change the user of this process. */
static int try_places(const struct prefork_settings *settings)
{
	int r = check_worker_class(settings);

	if (r >= 0)
		r = check_pidfile(settings);
	return r >= 0 ? pfi_binds_try(settings) : r;
}

static int check(const struct prefork_settings *settings, bool is_first)
{
	const size_t arguments = settings->arguments.count;
	const char *pidfile;
	int r;

	if (server_request(settings, &pidfile) != NULL)
		return check_request(settings);
	if (arguments < settings->arguments_min)
		return prefork_fail(PREFORK_EUSAGE, "%s is missing; see --help",
				    settings->arguments_usage != NULL ? settings->arguments_usage : "an argument");
	r = pfi_options_check(settings);
	if (r >= 0)
		r = pfi_binds_check(settings);
	if (r >= 0)
		r = pfi_peers_check(settings);
	if (r >= 0)
		r = check_owner(settings, is_first);
	if (r >= 0)
		r = pfi_rlimits_try(settings);
	if (r >= 0)
		r = check_log(settings);
	if (r >= 0 && is_first && pfi_library_settings(settings)->check_config && (r = try_places(settings)) < 0)
		return r; /* the error that the start would return */
	for (size_t i = 0; r >= 0 && i < settings->check_count; i++)
		r = settings->checks[i].check(settings, settings->checks[i].user);
	return r == -EINVAL ? PREFORK_ECONFIG : r < 0 ? r : 0;
}

/* Read and check all sources; the arguments are those that keep_arguments() has kept. */
static int read_all(struct prefork_settings *settings, bool is_first, enum pfi_cli_action *ret_action)
{
	int r = pfi_read_arguments(settings, settings->argv.items + 1, settings->argv.count - 1, NULL,
				   ret_action);

	if (r < 0 || *ret_action != PFI_CLI_RUN)
		return r;
	r = read_variable(settings);
	if (r == 0)
		r = pfi_read_environment(settings, environ);
	if (r == 0)
		r = read_config_file(settings);
	if (r == 0)
		r = pfi_settings_complete(settings);
	return r < 0 ? r : check(settings, is_first);
}

/* See pfi_settings_reread(). The action is PFI_CLI_RUN, since the arguments are those of the start. */
static int reread(const struct prefork_settings *old, struct prefork_settings **ret)
{
	enum pfi_cli_action action;
	struct prefork_settings *settings = NULL;
	int r = pfi_settings_copy_unparsed(old, &settings);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < old->argv.count; i++)
		r = pfi_texts_add(&settings->argv, old->argv.items[i]);
	if (r == 0)
		r = pfi_settings_keep_overrides(settings, old);
	settings->parsed = true;
	settings->reread = reread;
	r = r < 0 ? out_of_memory() : read_all(settings, false, &action);
	if (r < 0) {
		prefork_settings_destroy(settings);
		return r;
	}
	*ret = settings;
	return 0;
}

/* Keep what a reload needs to read the sources again. */
static int keep_arguments(struct prefork_settings *settings, int argc, char *const argv[])
{
	const char *const slash = strrchr(argv[0], '/');

	for (int i = 0; i < argc; i++)
		if (argv[i] == NULL || pfi_texts_add(&settings->argv, argv[i]) < 0)
			return argv[i] == NULL ? prefork_fail(-EINVAL, "argv ends before argc") : out_of_memory();
	if (settings->program == NULL && (settings->program = strdup(slash != NULL ? slash + 1 : argv[0])) == NULL)
		return out_of_memory();
	errno = 0;
	settings->directory = pfi_path_working_directory();
	if (settings->directory == NULL && errno == ENOMEM)
		return out_of_memory(); /* else the directory was removed, and only absolute paths work */
	settings->parsed = true;
	settings->reread = reread;
	return 0;
}

/* Carry out what the command line requests instead of running: 1: done, 0: nothing requested, or an error. */
static int run_action(const struct prefork_settings *settings, enum pfi_cli_action action)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	const char *pidfile;
	const char *const request = server_request(settings, &pidfile);
	int r;

	if (request != NULL) {
		r = pfi_cli_send_request(pidfile, request);
		return r < 0 ? r : 1;
	}
	if (action == PFI_CLI_HELP)
		pfi_print_help(settings, stdout);
	else if (action == PFI_CLI_VERSION)
		if (settings->version != NULL)
			(void)printf("%s %s\n", settings->program, settings->version);
		else
			(void)printf("%s (prefork %s)\n", settings->program, prefork_version());
	else if (values->print_config)
		pfi_print_config(settings, stdout);
	else if (!values->check_config)
		return 0;
	else
		(void)printf("%s: the configuration is valid\n", settings->program);
	if (fflush(stdout) != 0 || ferror(stdout))
		return prefork_fail(-EIO, "standard output: %s", strerror(errno));
	return 1;
}

int prefork_settings_parse(struct prefork_settings *settings, int argc, char *const argv[])
{
	enum pfi_cli_action action;
	int r;

	if (settings == NULL || argc < 1 || argv == NULL || argv[0] == NULL)
		return prefork_fail(-EINVAL, "settings is NULL, or argv is empty");
	if (settings->parsed || settings->frozen)
		return prefork_fail(-EALREADY, "the settings have been parsed already");
	r = pfi_start_record_take();
	if (r == 0)
		r = keep_arguments(settings, argc, argv);
	if (r == 0)
		r = read_all(settings, true, &action);
	if (r < 0) /* for the verdict of an upgrade: there is no arbiter yet that could report it */
		pfi_reexec_report(PFI_UPGRADE_FAILED_MESSAGE, prefork_error());
	return r < 0 ? r : run_action(settings, action);
}

int prefork_settings_load(int argc, char *const argv[], struct prefork_settings **ret)
{
	struct prefork_settings *settings = NULL;
	int r;

	if (ret == NULL)
		return prefork_fail(-EINVAL, "ret is NULL");
	r = prefork_settings_create(&settings);
	if (r < 0)
		return r;
	r = prefork_settings_parse(settings, argc, argv);
	if (r == 0) {
		*ret = settings;
		return 0;
	}
	prefork_settings_destroy(settings);
	if (r > 0)
		*ret = NULL;
	return r;
}
