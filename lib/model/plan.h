/*
 * model/plan.h -- what to do about one pool now.
 *
 * pfi_plan() compares the desired state with the worker table, under a policy and a clock, and returns orders: in which
 * slots to start a process, and which events to send to which slot. It keeps no state: an order that was not carried
 * out is returned again by the next call. Pure.
 */
#ifndef PFI_MODEL_PLAN_H
#define PFI_MODEL_PLAN_H

#include "model/backoff.h"
#include "model/exit_record.h"
#include "model/lifecycle.h"
#include "model/worker_table.h"

#include <stdbool.h>
#include <stdint.h>

/* What to do when too many workers have failed. In the order of the choices of the row boot_failure_policy. */
enum pfi_boot_failure_policy {
	PFI_BOOT_FAILURE_AUTO,    /* STOP until a worker of the pool was ready, then DEGRADE */
	PFI_BOOT_FAILURE_STOP,    /* stop the server                                         */
	PFI_BOOT_FAILURE_DEGRADE, /* keep the running workers, and retry with growing delays  */
};

/* The settings of one pool that concern its supervision. A time of 0 is no limit, unless noted otherwise. */
struct pfi_policy {
	uint32_t workers_max;
	uint32_t surge;           /* workers above the target while replacing; 0: a worker starts only */
				  /* after the process that it replaces has exited  */
	uint32_t max_unavailable; /* workers below the target while replacing        */
	uint64_t boot_timeout_ms;
	uint64_t request_timeout_ms; /* only for the grace after a suspend: thread slots hold deadlines */
	uint64_t graceful_timeout_ms;
	uint64_t abort_timeout_ms; /* from SIGABRT to SIGKILL; 0: PFI_ESCALATION_MS              */
	uint64_t canary_ms;        /* how long a canary must run; 0: it only has to become ready */
	uint64_t healthy_ms;       /* a worker that runs this long after it is ready counts as having served */
	enum pfi_boot_failure_policy boot_failure_policy;
	struct pfi_intensity boot; /* failures before ready */
	struct pfi_intensity run;  /* failures after ready  */
};

/* The desired state of one pool. */
struct pfi_desired_state {
	uint32_t target;
	uint32_t generation;    /* of new workers; workers of others are outdated    */
	uint32_t canary;        /* slot of the canary, UINT32_MAX for none           */
	uint32_t probation;     /* generation to start a canary of, 0 for none       */
	uint64_t earliest_ms; /* no worker is started before (back-off)            */
	uint64_t grace_until_ms; /* no deadline is enforced before                   */
	uint32_t starts_max;    /* workers that may be started now                   */
	bool one_by_one;        /* start the next when the last is ready             */
	bool keep_outdated;     /* replace no worker: a canary is on probation       */
	bool drain;             /* drain all workers                                 */
	bool quit;              /* quit all workers at once                          */
};

struct pfi_order {
	enum pfi_event event; /* FORKED: start a process in the slot; else send the event */
	enum pfi_cause cause;
	uint32_t slot;
	uint32_t generation; /* with FORKED */
};

enum { PFI_ORDERS_MAX = 64 };

struct pfi_orders {
	struct pfi_order list[PFI_ORDERS_MAX];
	uint32_t count;
	bool more;        /* the list is full: plan again after these           */
	uint64_t wake_ms; /* when to plan again, 0: after the next event        */
};

void pfi_plan(const struct pfi_policy *policy, const struct pfi_desired_state *desired,
	      const struct pfi_worker_table *worker_table, uint64_t now_ms, struct pfi_orders *ret);

#endif
