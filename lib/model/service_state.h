/*
 * model/service_state.h -- what the service manager is told: sd_notify(3) messages from the state of the arbiter.
 *
 *      starting --READY--> serving --RELOADING--> reloading --READY, with the verdict--> serving
 *          |                  |                       |
 *          '------------------+------STOPPING---------'   nothing takes it back: systemd 259 treats it as final
 *
 * An arbiter that another one has replaced names it (MAINPID) and says nothing afterwards.
 *
 * pfi_service_next() is asked until there is no message. Each message is one datagram: RELOADING and MONOTONIC_USEC in
 * two would make systemd fail the reload. Pure.
 */
#ifndef PFI_MODEL_SERVICE_STATE_H
#define PFI_MODEL_SERVICE_STATE_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PFI_SERVICE_STATUS_MAX = 512,
	PFI_SERVICE_MESSAGE_MAX = PFI_SERVICE_STATUS_MAX + 128,
	PFI_SERVICE_EXTEND_MS = 15000, /* a slow start, reload or stop asks for so much more time,  */
	PFI_SERVICE_AGAIN_MS = 5000,   /* and again after this                                      */
	PFI_SERVICE_STATUS_MS = 1000,  /* no two messages with nothing but a new status sooner      */
};

/* One pool, as it is now. */
struct pfi_service_pool {
	const char *name;
	uint32_t serving, wanted;
	bool boots;       /* a worker is booting                                                       */
	bool is_degraded; /* no more workers become ready soon, and the server goes on with those that are */
};

/* The arbiter, as it is now. */
struct pfi_service_now {
	const struct pfi_service_pool *pools;
	size_t pool_count;
	bool stops;
	uint64_t now_ms;
	uint64_t healthy_ms; /* the server is healthy once all its workers have served for so long */
};

/* All zero at the start, but for watchdog_ms. */
struct pfi_service {
	uint64_t watchdog_ms; /* a ping is due so often, 0: never */
	uint64_t ping_at_ms;
	uint64_t extend_at_ms; /* 0: nothing takes time                */
	uint64_t complete_since_ms, status_at_ms;
	uint64_t reload_us;   /* CLOCK_MONOTONIC when it began         */
	int main_pid;         /* of the arbiter that has taken over    */
	bool is_ready, is_reloading, is_stopping, is_replaced, has_reset;
	bool has_verdict; /* on the reload that began last */
	bool owes_reloading, owes_verdict, owes_main_pid; /* not told yet */
	char verdict[PFI_SERVICE_STATUS_MAX / 2]; /* of the last reload       */
	char status[PFI_SERVICE_STATUS_MAX];      /* as last told             */
};

/* A reload begins. */
void pfi_service_reload_begins(struct pfi_service *service, uint64_t monotonic_us);

/* It ends: `why` is empty, or why it failed. `others`: one that began earlier is still in progress. The service is
 * reloading until that one has ended too, and the verdict that it has then is that of the one that began last. */
void pfi_service_reload_ends(struct pfi_service *service, const char *verdict, const char *why, bool others);

/* Another arbiter is the main process from now on. */
void pfi_service_replaced(struct pfi_service *service, int main_pid);

/* Every pool serves, as well as it can for now. */
bool pfi_service_serves(const struct pfi_service_now *now);

/* The next message that is due, in `ret`, which has PFI_SERVICE_MESSAGE_MAX bytes. False: none is due now. */
bool pfi_service_next(struct pfi_service *service, const struct pfi_service_now *now, struct pfi_text *ret);

/* When the next message is due if nothing changes, 0: never. To be asked after pfi_service_next() returned false. */
uint64_t pfi_service_due_ms(const struct pfi_service *service, const struct pfi_service_now *now);

#endif
