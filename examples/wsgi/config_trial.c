/* Both ends of a trial of the configuration: what the arbiter executes, and what the process does. */
#include "config_trial.h"
#include "config_file.h"
#include "virtualenv.h"
#include "wsgi_options.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLAG "--try-config"

/* argv: the program, FLAG, the directory of the start, the path of the program, the arguments of the start. */
enum { FLAG_AT = 1, DIRECTORY_AT, PROGRAM_AT, MORE, OVERTIME_MS = 5000 };

static const char proof[] = "the configuration is valid\n"; /* written last: code of the file may exit with status 0 */

bool wsgi_config_trial_is(int argc, char *const argv[])
{
	return argc >= MORE && strcmp(argv[FLAG_AT], FLAG) == 0;
}

/* What the file prints would fill the pipe, which the arbiter reads at the end: it goes to /dev/null. The arbiter runs the
 * file too, and then it is seen. */
static FILE *take_output(void)
{
	const int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		return NULL;
	(void)close(null);
	return fdopen(fd, "w");
}

int wsgi_config_trial_run(int argc, char *const argv[])
{
	struct prefork_settings *settings = NULL;
	char **words = calloc((size_t)argc, sizeof *words);
	FILE *const output = take_output();
	int r;

	if (words == NULL || output == NULL)
		return 1;
	words[0] = argv[0];
	for (int i = MORE; i < argc; i++)
		words[i - MORE + 1] = argv[i];
	(void)setsid(); /* so that no signal from a terminal reaches it */
	if (chdir(argv[DIRECTORY_AT]) < 0) /* the arbiter uses the directory by its name, too */
		fprintf(output, "%s: %s\n", argv[DIRECTORY_AT], strerror(errno));
	wsgi_virtualenv_set_program(argv[PROGRAM_AT]);
	wsgi_config_file_limit(output);
	r = wsgi_options_read(argc - MORE + 1, words, &settings);
	fprintf(output, "%s", r == 0 ? proof : prefork_error());
	(void)fflush(output);
	_exit(r == 0 ? 0 : 1); /* threads of the file may still run */
}

static int is_needed(struct prefork_arbiter *arbiter, void *user)
{
	(void)user;
	return wsgi_config_file_is_python(prefork_arbiter_settings(arbiter));
}

int wsgi_config_trial_add(struct prefork_arbiter *arbiter, const struct prefork_settings *settings, char *const argv[])
{
	static char *words[4096];
	const char *directory = prefork_settings_directory(settings);
	const struct prefork_reload_trial trial = {
		.struct_size = sizeof trial,
		.path = "/proc/self/exe",
		.argv = words,
		.limit = "config_timeout",
		.grace_ms = OVERTIME_MS, /* Python has to start; and the process itself has the limit, to say where the file was */
		.proof = proof,
		.is_needed = is_needed,
	};
	size_t count = 1;

	words[0] = argv[0];
	words[FLAG_AT] = (char *)(uintptr_t)FLAG;
	words[DIRECTORY_AT] = (char *)(uintptr_t)(directory ? directory : ".");
	words[PROGRAM_AT] = (char *)(uintptr_t)wsgi_virtualenv_program(argv[0]);
	for (; argv[count] && count + MORE < sizeof words / sizeof words[0]; count++)
		words[count + MORE - 1] = argv[count];
	if (argv[count])
		return prefork_fail(PREFORK_EUSAGE, "too many arguments");
	return prefork_arbiter_set_reload_trial(arbiter, &trial);
}
