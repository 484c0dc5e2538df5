/* Reads the command line, environment and program of this process from /proc, and keeps them for an upgrade. */
#include "os/start_record.h"

#include "os/path.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool was_taken, is_complete;
static struct pfi_start_record record;
static char *argument_bytes, *environment_bytes; /* what the lists point into */

/* The whole file, with a 0 behind it. Returns new, or NULL. */
static char *read_file(const char *path, size_t *ret_size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0, size = 0;
	char *bytes = NULL;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		if (size - used < 2) {
			char *const more = realloc(bytes, size += 65536);

			if (more == NULL) {
				n = -1;
				break;
			}
			bytes = more;
		}
		n = read(fd, bytes + used, size - used - 1);
		if (n > 0)
			used += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (fd >= 0)
		(void)close(fd);
	if (n < 0) {
		free(bytes);
		return NULL;
	}
	bytes[used] = '\0';
	*ret_size = used;
	return bytes;
}

/* The strings that end with a 0 each. Returns new, or NULL. */
static char **split(char *bytes, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i += strlen(bytes + i) + 1)
		count++;
	char **const list = calloc(count + 1, sizeof *list);
	for (size_t i = 0, n = 0; list != NULL && i < size; i += strlen(bytes + i) + 1)
		list[n++] = bytes + i;
	return list;
}

static char **read_list(const char *path, char **ret_bytes)
{
	size_t size = 0;

	*ret_bytes = read_file(path, &size);
	return *ret_bytes != NULL ? split(*ret_bytes, size) : NULL;
}

/* Whether `path` is the program that runs: a script's own path, or a name that the starter made up, is not. */
static bool is_this_program(const char *path)
{
	struct stat named, running;

	return path != NULL && strchr(path, '/') != NULL && stat(path, &named) == 0 &&
	       stat("/proc/self/exe", &running) == 0 && named.st_dev == running.st_dev && named.st_ino == running.st_ino;
}

/* `name` in the directories of PATH. Returns new, or NULL. */
static char *find_in_path(const char *name)
{
	const char *rest = getenv("PATH");
	char path[4096];

	while (name != NULL && rest != NULL && *rest != '\0') {
		const size_t length = strcspn(rest, ":");

		if (length > 0 && snprintf(path, sizeof path, "%.*s/%s", (int)length, rest, name) < (int)sizeof path &&
		    is_this_program(path))
			return strdup(path);
		rest += length + (rest[length] == ':');
	}
	return NULL;
}

/* The name before the file: /proc/self/exe is where links led at the start, or "... (deleted)". */
static char *find_program(const char *first_argument)
{
	const char *const executed = (const char *)getauxval(AT_EXECFN);
	char target[4096];
	char *found;

	if (is_this_program(executed))
		return strdup(executed);
	if (is_this_program(first_argument))
		return strdup(first_argument);
	found = find_in_path(first_argument);
	if (found != NULL)
		return found;
	const ssize_t n = readlink("/proc/self/exe", target, sizeof target - 1);
	return n > 0 ? strndup(target, (size_t)n) : NULL;
}

static void release(void)
{
	free(record.directory);
	free(record.program);
	free(record.arguments);
	free(record.environment);
	free(argument_bytes);
	free(environment_bytes);
	record = (struct pfi_start_record){ 0 };
	argument_bytes = environment_bytes = NULL;
}

/* Only a lack of memory is an error. Without /proc there is no record, and the next attempt would not make one. */
static int missing(const void *part)
{
	return part != NULL || errno != ENOMEM ? 0 : -ENOMEM;
}

static int take(void)
{
	int r;

	record.arguments = read_list("/proc/self/cmdline", &argument_bytes);
	r = missing(record.arguments);
	if (r == 0) {
		record.environment = read_list("/proc/self/environ", &environment_bytes);
		r = missing(record.environment);
	}
	if (r == 0) {
		record.directory = pfi_path_working_directory();
		r = missing(record.directory);
	}
	if (r == 0 && record.arguments != NULL) {
		record.program = find_program(record.arguments[0]);
		r = missing(record.program);
	}
	is_complete = r == 0 && record.program != NULL && record.environment != NULL && record.directory != NULL &&
		      record.arguments[0] != NULL;
	if (!is_complete)
		release();
	return r;
}

/* A program that loads and unloads the library again and again keeps nothing. */
__attribute__((destructor)) static void forget(void)
{
	is_complete = false;
	release();
}

int pfi_start_record_take(void)
{
	int r = 0;

	(void)pthread_mutex_lock(&mutex);
	if (!was_taken)
		r = take();
	was_taken = r == 0;
	(void)pthread_mutex_unlock(&mutex);
	return r < 0 ? prefork_fail(r, "no memory to record the arguments and the environment of the start") : 0;
}

const struct pfi_start_record *pfi_start_record_get(void)
{
	return pfi_start_record_take() == 0 && is_complete ? &record : NULL;
}
