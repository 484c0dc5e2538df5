/*
 * Messages to the service manager: which message follows from which state, in which order, and when.
 */
#include "model/service_state.h"

#include "../support.h"

#include <stdio.h>

enum { STEPS_MAX = 14 };

/* One step: what has changed, and the messages that follow. NULL: none. */
struct step {
	uint64_t now_ms;
	uint32_t serving;
	enum { NOTHING, BEGINS, DONE, FAILS, FAILS_FIRST, STOPS, REPLACED, SECOND_POOL } event;
	bool boots, is_degraded;
	const char *messages[3];
};

static const struct scenario {
	const char *name;
	uint64_t watchdog_ms;
	struct step steps[STEPS_MAX];
} scenarios[] = {
	{ "ready after all workers", 0, {
		{ 1000, 0, NOTHING, true, false, { "STATUS=Starting: web 0 of 2 workers ready" } },
		{ 1500, 1, NOTHING, true, false, { NULL } },
		{ 1600, 2, NOTHING, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready" } },
		{ 1700, 2, NOTHING, false, false, { NULL } },
		{ 2600, 2, NOTHING, false, false, { "RESTART_RESET=1" } },
		{ 9000, 2, NOTHING, false, false, { NULL } } } },
	{ "a status alone is sent at most once a second", 0, {
		{ 1000, 1, NOTHING, true, false, { "STATUS=Starting: web 1 of 2 workers ready" } },
		{ 1999, 0, NOTHING, true, false, { NULL } },
		{ 2000, 0, NOTHING, true, false, { "STATUS=Starting: web 0 of 2 workers ready" } } } },
	{ "degraded, then serving again", 0, {
		{ 1000, 1, NOTHING, false, true, { "READY=1\nSTATUS=Degraded: web 1 of 2 workers ready" } },
		{ 3000, 2, NOTHING, false, false, { "STATUS=Serving: web 2 of 2 workers ready" } },
		{ 3500, 1, NOTHING, true, false, { NULL } },
		{ 4000, 1, NOTHING, true, false, { "STATUS=Degraded: web 1 of 2 workers ready" } },
		{ 5000, 2, NOTHING, false, false, { "STATUS=Serving: web 2 of 2 workers ready" } },
		{ 6000, 2, NOTHING, false, false, { "RESTART_RESET=1" } } } },
	{ "every pool must serve", 0, {
		{ 1000, 2, SECOND_POOL, false, false, { "STATUS=Starting: web 2 of 2 workers ready, jobs 0 of 1 workers ready" } } } },
	{ "a reload", 0, {
		{ 1000, 2, NOTHING, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready" } },
		{ 1500, 2, BEGINS, false, false, { "RELOADING=1\nMONOTONIC_USEC=1500000\nSTATUS=Reloading: web 2 of 2 workers ready" } },
		{ 1600, 2, DONE, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready; last reload done" } },
		{ 1700, 2, STOPS, false, false, { "STOPPING=1\nSTATUS=Stopping: web 2 of 2 workers ready" } } } },
	{ "a reload that fails is over, too", 0, {
		{ 1000, 2, NOTHING, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready" } },
		{ 1500, 2, BEGINS, true, false, { "RELOADING=1\nMONOTONIC_USEC=1500000\nSTATUS=Reloading: web 2 of 2 workers ready" } },
		{ 1600, 2, FAILS, false, false,
		  { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready; last reload failed: line 3: bad\\nMAINPID=1" } } } },
	{ "a second reload takes the place of the first", 0, {
		{ 1000, 2, NOTHING, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready" } },
		{ 1500, 2, BEGINS, true, false, { "RELOADING=1\nMONOTONIC_USEC=1500000\nSTATUS=Reloading: web 2 of 2 workers ready" } },
		{ 1600, 2, BEGINS, true, false, { "RELOADING=1\nMONOTONIC_USEC=1600000\nSTATUS=Reloading: web 2 of 2 workers ready" } },
		{ 1700, 2, DONE, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready; last reload done" } } } },
	{ "of two reloads at once, the verdict is that of the second, when both have ended", 0, {
		{ 1000, 2, NOTHING, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready" } },
		{ 1100, 2, BEGINS, true, false, { "RELOADING=1\nMONOTONIC_USEC=1100000\nSTATUS=Reloading: web 2 of 2 workers ready" } },
		{ 1200, 2, BEGINS, true, false, { "RELOADING=1\nMONOTONIC_USEC=1200000\nSTATUS=Reloading: web 2 of 2 workers ready" } },
		{ 1300, 2, FAILS_FIRST, true, false, { NULL } },
		{ 1400, 2, DONE, false, false,
		  { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready; last reload failed: line 3: bad\\nMAINPID=1" } },
		{ 1500, 2, BEGINS, true, false, { "RELOADING=1\nMONOTONIC_USEC=1500000\nSTATUS=Reloading: web 2 of 2 workers ready" } },
		{ 1600, 2, DONE, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready; last reload done" } } } },
	{ "a reload during the start is part of it", 0, {
		{ 1000, 0, BEGINS, true, false, { "STATUS=Starting: web 0 of 2 workers ready" } },
		{ 1100, 2, NOTHING, false, false, { NULL } },
		{ 1200, 2, DONE, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready; last reload done" } },
		{ 1300, 2, NOTHING, false, false, { NULL } } } },
	{ "a stop is reported once, and no later state is", 0, {
		{ 1000, 1, NOTHING, true, false, { "STATUS=Starting: web 1 of 2 workers ready" } },
		{ 1100, 1, STOPS, true, false, { "STOPPING=1\nSTATUS=Stopping: web 1 of 2 workers ready" } },
		{ 1200, 2, STOPS, false, false, { NULL } },
		{ 2100, 0, STOPS, false, false, { "STATUS=Stopping: web 0 of 2 workers ready" } } } },
	{ "the watchdog", 500, {
		{ 1000, 0, NOTHING, true, false, { "STATUS=Starting: web 0 of 2 workers ready" } },
		{ 1600, 2, NOTHING, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready", "WATCHDOG=1" } },
		{ 2099, 2, NOTHING, false, false, { NULL } },
		{ 2100, 2, NOTHING, false, false, { "WATCHDOG=1" } },
		{ 2600, 2, STOPS, false, false, { "STOPPING=1\nSTATUS=Stopping: web 2 of 2 workers ready", "WATCHDOG=1" } },
		{ 9000, 2, STOPS, false, false, { "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=15000000" } } } },
	{ "a slow start asks for time while a worker boots", 0, {
		{ 1000, 0, NOTHING, true, false, { "STATUS=Starting: web 0 of 2 workers ready" } },
		{ 5999, 0, NOTHING, true, false, { NULL } },
		{ 6000, 0, NOTHING, true, false, { "EXTEND_TIMEOUT_USEC=15000000" } },
		{ 10000, 0, NOTHING, true, false, { NULL } },
		{ 11000, 0, NOTHING, true, false, { "EXTEND_TIMEOUT_USEC=15000000" } },
		{ 16000, 0, NOTHING, false, false, { NULL } },
		{ 60000, 0, NOTHING, false, false, { NULL } } } },
	{ "so do a slow reload and a slow stop, each from its own beginning", 0, {
		{ 1000, 2, NOTHING, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready" } },
		{ 1500, 2, BEGINS, true, false, { "RELOADING=1\nMONOTONIC_USEC=1500000\nSTATUS=Reloading: web 2 of 2 workers ready" } },
		{ 6500, 2, NOTHING, true, false, { "EXTEND_TIMEOUT_USEC=15000000", "RESTART_RESET=1" } },
		{ 7000, 2, STOPS, true, false, { "STOPPING=1\nSTATUS=Stopping: web 2 of 2 workers ready" } },
		{ 11999, 2, STOPS, true, false, { NULL } },
		{ 12000, 2, STOPS, true, false, { "EXTEND_TIMEOUT_USEC=15000000" } } } },
	{ "a replaced arbiter names the new one, and is silent", 500, {
		{ 1000, 2, NOTHING, false, false, { "READY=1\nSTATUS=Serving: web 2 of 2 workers ready", "WATCHDOG=1" } },
		{ 1200, 2, REPLACED, false, false, { "MAINPID=4711" } },
		{ 9000, 1, STOPS, false, false, { NULL } } } },
};

static void apply(struct pfi_service *service, const struct step *step)
{
	switch (step->event) {
	case BEGINS:
		pfi_service_reload_begins(service, step->now_ms * 1000);
		break;
	case DONE:
		pfi_service_reload_ends(service, "done", "", false);
		break;
	case FAILS:
	case FAILS_FIRST:
		pfi_service_reload_ends(service, "failed", "line 3: bad\nMAINPID=1", step->event == FAILS_FIRST);
		break;
	case REPLACED:
		pfi_service_replaced(service, 4711);
		break;
	default:
		break;
	}
}

START_TEST(each_state_has_its_messages)
{
	const struct scenario *const scenario = &scenarios[_i];
	struct pfi_service service = { .watchdog_ms = scenario->watchdog_ms };

	for (size_t i = 0; i < STEPS_MAX && scenario->steps[i].now_ms != 0; i++) {
		const struct step *const step = &scenario->steps[i];
		const struct pfi_service_pool pools[] = {
			{ .name = "web", .serving = step->serving, .wanted = 2, .boots = step->boots,
			  .is_degraded = step->is_degraded },
			{ .name = "jobs", .wanted = 1 },
		};
		const struct pfi_service_now now = {
			.pools = pools, .pool_count = step->event == SECOND_POOL ? 2 : 1, .stops = step->event == STOPS,
			.now_ms = step->now_ms, .healthy_ms = 1000,
		};
		char bytes[PFI_SERVICE_MESSAGE_MAX];
		struct pfi_text text;
		int count = 0;

		apply(&service, step);
		for (;; count++) {
			pfi_text_init(&text, bytes, sizeof bytes);
			if (!pfi_service_next(&service, &now, &text))
				break;
			ck_assert_int_lt(count, 3);
			ck_assert_msg(step->messages[count] != NULL && strcmp(bytes, step->messages[count]) == 0,
				      "%s, step %zu: it says %s", scenario->name, i, bytes);
		}
		ck_assert_msg(count == 3 || step->messages[count] == NULL, "%s, step %zu: %s is missing", scenario->name, i,
			      step->messages[count]);
		const uint64_t due_ms = pfi_service_due_ms(&service, &now);
		ck_assert_msg(due_ms == 0 || due_ms > now.now_ms, "%s, step %zu: due at once", scenario->name, i);
	}
}
END_TEST

START_TEST(each_message_follows_at_the_announced_time)
{
	const struct pfi_service_pool pool = { .name = "web", .serving = 1, .wanted = 1 };
	struct pfi_service_now now = { .pools = &pool, .pool_count = 1, .now_ms = 1000, .healthy_ms = 700 };
	struct pfi_service service = { .watchdog_ms = 300 };
	char bytes[PFI_SERVICE_MESSAGE_MAX];
	struct pfi_text text;
	int resets = 0;

	for (int i = 0; i < 6; i++) {
		int count = 0;

		for (;; count++) {
			pfi_text_init(&text, bytes, sizeof bytes);
			if (!pfi_service_next(&service, &now, &text))
				break;
			resets += strcmp(bytes, "RESTART_RESET=1") == 0;
		}
		ck_assert_int_gt(count, 0);
		now.now_ms = pfi_service_due_ms(&service, &now);
	}
	ck_assert_int_eq(resets, 1);
}
END_TEST

/* Whatever a name or a reason contains and however long it is: one line, and a whole message. */
START_TEST(a_status_is_one_line_of_utf8)
{
	char name[2000], bytes[PFI_SERVICE_MESSAGE_MAX];
	const struct pfi_service_pool pool = { .name = name, .serving = 1, .wanted = 1 };
	const struct pfi_service_now now = { .pools = &pool, .pool_count = 1, .now_ms = 1000 };
	struct pfi_service service = { 0 };
	struct pfi_text text;

	memset(name, '\n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	name[3] = '\xff';
	pfi_service_reload_ends(&service, "failed", name, false);
	pfi_text_init(&text, bytes, sizeof bytes);
	ck_assert(pfi_service_next(&service, &now, &text));
	ck_assert(!text.cut);
	ck_assert_int_eq(strncmp(bytes, "READY=1\nSTATUS=Serving: \\n\\n\\n\\xff", 34), 0);
	ck_assert_ptr_null(strchr(bytes + 8, '\n'));
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("service_state");
	TCase *const tc = new_case(suite, "service_state");

	tcase_add_loop_test(tc, each_state_has_its_messages, 0, sizeof scenarios / sizeof scenarios[0]);
	tcase_add_test(tc, each_message_follows_at_the_announced_time);
	tcase_add_test(tc, a_status_is_one_line_of_utf8);
	return run_suite(suite);
}
