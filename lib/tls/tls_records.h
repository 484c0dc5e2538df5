/*
 * tls_records -- what a worker needs for its TLS contexts, as bytes: the contents of the files, and the ticket keys.
 *
 * The arbiter reads the files, which only it may be able to read. It makes the contexts for workers that it forks, and
 * passes the records in a sealed memfd (memfd_create(2)) to workers that run already. The bytes contain private keys:
 * they are cleared before their memory is freed.
 *
 *     record: type (4 bytes), size (4 bytes), bytes; in the byte order of this machine
 */
#ifndef TLS_TLS_RECORDS_H
#define TLS_TLS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pfi_tls_record_type {
	PFI_TLS_RECORD_PAIR = 1,    /* begins a certificate: its path, for messages                */
	PFI_TLS_RECORD_CERTIFICATE, /* PEM: the certificate and its chain                           */
	PFI_TLS_RECORD_KEY,         /* PEM                                                          */
	PFI_TLS_RECORD_OCSP,        /* DER                                                          */
	PFI_TLS_RECORD_AUTHORITIES, /* PEM: ca_certs                                                */
	PFI_TLS_RECORD_TICKET_KEY,  /* struct pfi_tls_ticket_key, newest first                      */
};

struct pfi_tls_records {
	char *bytes;
	size_t size, capacity;
};

/* A position in the records, at first { records }, and the record before it. */
struct pfi_tls_record {
	const struct pfi_tls_records *records;
	size_t at;
	enum pfi_tls_record_type type;
	const char *bytes;
	size_t size;
};

/* Append a record. 0 or -ENOMEM. */
int pfi_tls_records_add(struct pfi_tls_records *records, enum pfi_tls_record_type type, const void *bytes, size_t size);

/* Append the contents of a regular file of at most 1 MiB. 0; or a negative errno, with an error message that begins
 * with the path. */
int pfi_tls_records_add_file(struct pfi_tls_records *records, enum pfi_tls_record_type type, const char *path);

/* The next record. False: there is none, or it is not complete. */
bool pfi_tls_record_next(struct pfi_tls_record *record);

bool pfi_tls_records_equal(const struct pfi_tls_records *a, const struct pfi_tls_records *b);

/* Clear the bytes and free them. */
void pfi_tls_records_clear(struct pfi_tls_records *records);

/* A *new* sealed memfd with the bytes of `first` and then of `second`; or a negative errno with an error message. */
int pfi_tls_records_seal(const struct pfi_tls_records *first, const struct pfi_tls_records *second);

/* Read a memfd of pfi_tls_records_seal(). 0; -EPERM: it is not sealed; another negative errno. */
int pfi_tls_records_open(int fd, struct pfi_tls_records *ret);

#endif
