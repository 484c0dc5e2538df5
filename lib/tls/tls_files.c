/* Reads certfile, keyfile, ocsp_file, ca_certs and the directory of certificates. */
#include "tls/tls_files.h"

#include <prefork/error.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An error message that names the setting. */
static int fail(const char *setting, int error)
{
	char why[PATH_MAX + 256];

	(void)snprintf(why, sizeof why, "%s", prefork_error());
	return prefork_fail(error == -ENOMEM ? -ENOMEM : PREFORK_ECONFIG, "%s: %s", setting, why);
}

static int add_file(struct pfi_tls_records *records, enum pfi_tls_record_type type, const char *path, const char *setting)
{
	const int r = pfi_tls_records_add_file(records, type, path);

	return r < 0 ? fail(setting, r) : 0;
}

static int add_main(const struct pfi_tls_settings *values, struct pfi_tls_records *records)
{
	const char *const key = values->keyfile != NULL ? values->keyfile : values->certfile;
	int r = pfi_tls_records_add(records, PFI_TLS_RECORD_PAIR, values->certfile, strlen(values->certfile));

	if (r == 0)
		r = add_file(records, PFI_TLS_RECORD_CERTIFICATE, values->certfile, "certfile");
	if (r == 0)
		r = add_file(records, PFI_TLS_RECORD_KEY, key, values->keyfile != NULL ? "keyfile" : "certfile");
	if (r == 0 && values->ocsp_file != NULL)
		r = add_file(records, PFI_TLS_RECORD_OCSP, values->ocsp_file, "ocsp_file");
	return r;
}

/* The files of one certificate in the directory; "" where there is none. */
struct pair_paths {
	char certificate[PATH_MAX], key[PATH_MAX], ocsp[PATH_MAX];
};

static bool is_file(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* "" if the file does not exist. */
static void put_if_file(char to[PATH_MAX], const char *directory, const char *name, size_t length, const char *suffix)
{
	const int n = snprintf(to, PATH_MAX, "%s/%.*s%s", directory, (int)length, name, suffix);

	if (n < 0 || n >= PATH_MAX || !is_file(to))
		to[0] = '\0';
}

/* NAME.crt with NAME.key, or NAME.pem with both. */
static bool find_in_file(const char *directory, const char *name, struct pair_paths *paths)
{
	const size_t length = strlen(name);
	const char *const suffix = length > 4 ? name + length - 4 : "";

	if (strcmp(suffix, ".crt") != 0 && strcmp(suffix, ".pem") != 0)
		return false;
	put_if_file(paths->certificate, directory, name, length, "");
	put_if_file(paths->key, directory, name, length - 4, ".key");
	put_if_file(paths->ocsp, directory, name, length - 4, ".ocsp");
	return paths->certificate[0] != '\0';
}

/* NAME/tls.crt with tls.key, as in a secret of Kubernetes; NAME/fullchain.pem with privkey.pem, as certbot has them. */
static bool find_in_directory(const char *directory, const char *name, struct pair_paths *paths)
{
	static const char *const names[][2] = { { "tls.crt", "tls.key" }, { "fullchain.pem", "privkey.pem" } };
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		put_if_file(paths->certificate, path, names[i][0], strlen(names[i][0]), "");
		put_if_file(paths->key, path, names[i][1], strlen(names[i][1]), "");
		put_if_file(paths->ocsp, path, "ocsp.der", strlen("ocsp.der"), "");
		if (paths->certificate[0] != '\0')
			return true;
	}
	return false;
}

static int add_pair(const struct pair_paths *paths, struct pfi_tls_records *records)
{
	const char *const key = paths->key[0] != '\0' ? paths->key : paths->certificate;
	int r = pfi_tls_records_add(records, PFI_TLS_RECORD_PAIR, paths->certificate, strlen(paths->certificate));

	if (r == 0)
		r = add_file(records, PFI_TLS_RECORD_CERTIFICATE, paths->certificate, "certificates");
	if (r == 0)
		r = add_file(records, PFI_TLS_RECORD_KEY, key, "certificates");
	if (r == 0 && paths->ocsp[0] != '\0')
		r = add_file(records, PFI_TLS_RECORD_OCSP, paths->ocsp, "certificates");
	return r;
}

/* "..data" of Kubernetes, and temporary files of editors, are not certificates. */
static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int add_directory(const char *directory, struct pfi_tls_records *records)
{
	struct dirent **entries;
	const int count = scandir(directory, &entries, is_visible, alphasort);
	int r = 0, found = 0;

	if (count < 0)
		return prefork_fail(PREFORK_ECONFIG, "certificates: %s: %s", directory, strerror(errno));
	struct pair_paths *const paths = malloc(sizeof *paths);

	for (int i = 0; i < count; i++) {
		if (r == 0 && paths != NULL &&
		    (find_in_file(directory, entries[i]->d_name, paths) || find_in_directory(directory, entries[i]->d_name, paths))) {
			r = add_pair(paths, records);
			found++;
		}
		free(entries[i]);
	}
	free(entries);
	free(paths);
	if (r == 0 && found == 0)
		r = prefork_fail(PREFORK_ECONFIG, "certificates: %s has no certificate: NAME.crt and NAME.key, or NAME.pem", directory);
	return r;
}

int pfi_tls_files_read(const struct pfi_tls_settings *values, struct pfi_tls_records *records)
{
	int r = values->certfile != NULL ? add_main(values, records) : 0;

	if (r == 0 && values->certificates != NULL)
		r = add_directory(values->certificates, records);
	if (r == 0 && values->ca_certs != NULL)
		r = add_file(records, PFI_TLS_RECORD_AUTHORITIES, values->ca_certs, "ca_certs");
	return r;
}
