/*
 * tls_files -- reads the files that the settings of TLS name.
 */
#ifndef TLS_TLS_FILES_H
#define TLS_TLS_FILES_H

#include "tls/tls_records.h"
#include "tls/tls_rows.h"

/* Append the records of all files: first those of certfile. 0, or PREFORK_ECONFIG or -ENOMEM with an error message that
 * begins with the setting. What was appended before an error stays. */
int pfi_tls_files_read(const struct pfi_tls_settings *values, struct pfi_tls_records *records);

#endif
