/*
 * tls_turn -- in the arbiter: what is due later. Changed files are read, ticket keys are rotated once a day, and what
 * workers have not taken is sent again.
 *
 *     inotify --> 100 ms without a further change --> read --> contexts --> workers
 *                                                       |
 *                                                     wrong: again after 500 ms, then a log line
 *
 * Certificate and key are two files: between the two changes they do not fit.
 */
#ifndef TLS_TLS_TURN_H
#define TLS_TLS_TURN_H

struct pfi_tls_material;
struct prefork_tls;

/* Open timer and inotify, and take the ticket keys that an earlier arbiter has kept, once. 0, or a negative errno with an
 * error message. */
int pfi_tls_turn_begin(struct prefork_tls *tls);
void pfi_tls_turn_end(struct prefork_tls *tls);

/* Watch the files of a material. */
void pfi_tls_turn_follow(struct prefork_tls *tls, const struct pfi_tls_material *material);

/* Send what is newer to the workers. */
void pfi_tls_turn_push(struct prefork_tls *tls);

/* Rotate the ticket keys. */
void pfi_tls_turn_rotate(struct prefork_tls *tls);

#endif
