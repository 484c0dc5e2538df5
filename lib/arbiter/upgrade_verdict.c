/* Gives the verdict of an upgrade: one log line, one call of the hooks, and the response to a command that waits. */
#include "arbiter/upgrade_verdict.h"

#include "arbiter/arbiter.h"

#include <stdio.h>

static const char *verdict_name(enum prefork_upgrade_verdict verdict)
{
	static const char *const names[] = {
		[PREFORK_UPGRADE_DONE] = "done", [PREFORK_UPGRADE_FAILED] = "failed",
		[PREFORK_UPGRADE_REFUSED] = "refused", [PREFORK_UPGRADE_STOPPED] = "stopped",
	};

	return names[verdict];
}

/* A refusal is the verdict of the request alone: the upgrade that is under way continues. */
static void respond(struct prefork_arbiter *arbiter, enum prefork_upgrade_verdict verdict, const char *why)
{
	if (verdict == PREFORK_UPGRADE_REFUSED) {
		pfi_queries_answer(arbiter, PFI_QUERY_UPGRADE, PFI_QUERY_REFUSED, why);
		return;
	}
	const enum pfi_query_code code = verdict == PREFORK_UPGRADE_DONE ? PFI_QUERY_DONE : PFI_QUERY_FAILED;

	pfi_queries_answer(arbiter, PFI_QUERY_UPGRADE, code, why);
	pfi_queries_answer(arbiter, PFI_QUERY_UPGRADE_BEGUN, code, why);
}

void pfi_upgrade_verdict(struct prefork_arbiter *arbiter, enum prefork_upgrade_verdict verdict, pid_t pid,
			 const char *why)
{
	pfi_arbiter_log(arbiter,
			verdict == PREFORK_UPGRADE_FAILED  ? PREFORK_LOG_ERROR :
			verdict == PREFORK_UPGRADE_REFUSED ? PREFORK_LOG_WARNING :
							     PREFORK_LOG_INFO,
			"upgrade_end", PFI_PAIRS(PREFORK_TEXT("verdict", verdict_name(verdict)), PREFORK_NUMBER("new", pid)),
			"Upgrade %s: %s", verdict_name(verdict), why);
	respond(arbiter, verdict, why);
	PFI_HOOKS(arbiter, upgrade_end, arbiter, verdict, (int)pid, why);
}

void pfi_upgrade_failed(struct prefork_arbiter *arbiter, pid_t pid, const char *why)
{
	char text[800];

	(void)snprintf(text, sizeof text, "%s; this arbiter keeps serving", why);
	pfi_upgrade_verdict(arbiter, PREFORK_UPGRADE_FAILED, pid, text);
}
