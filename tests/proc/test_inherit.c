#include "listener/inherit.h"
#include "os/fd.h"
#include "os/open.h"
#include "os/slot_variable.h"
#include "os/starter.h"

#include "../support.h"

#include <prefork/error.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

enum { SELF = 1234 };

static struct pfi_inherited inherited;

/* Numbers that are not open in this process, so that finish closes nothing. */
static const struct {
	struct pfi_inherit_variables variables;
	const char *names; /* NAME FD NAME FD ... */
} good[] = {
	{ { 0 }, "" },
	{ { .prefork_fds = "" }, "" },
	{ { "1234", "0", NULL, NULL }, "" },
	{ { "1234", "2", NULL, NULL }, "unknown 3 unknown 4 " },
	{ { "1234", "2", "web:api", NULL }, "web 3 api 4 " },
	{ { "1234", "3", "web::x", NULL }, "web 3 unknown 4 x 5 " },
	{ { "1234", "2", "web", NULL }, "web 3 unknown 4 " },
	{ { "1235", "2", NULL, NULL }, "" },  /* for another process */
	{ { NULL, "2", NULL, NULL }, "" },
	{ { "1234", NULL, NULL, NULL }, "" },
	{ { .prefork_fds = "127.0.0.1:80=900" }, "127.0.0.1:80 900 " },
	{ { .prefork_fds = "a=900,unix:/x%2Cy%3d%25=901" }, "a 900 unix:/x,y=% 901 " },
	{ { "1234", "1", "web", "a=900" }, "web 3 a 900 " },
	{ { .prefork_fds = "a=900:bound" }, "a 900 bound " },
	{ { .prefork_fds = "a=900:bound:stored" }, "a 900 bound stored " },
	{ { .prefork_fds = "a=900::later=7:bound,b=901" }, "a 900 bound b 901 " }, /* of a newer arbiter */
	{ { .prefork_fds = "a=900+903+902:bound:listening=2" }, "a 900 +903 +902 listening 2 bound " },
	{ { .prefork_fds = "u=900:bound:file=901:path=/a%3Ab,c=902" }, "u 900 file 901 /a:b bound c 902 " },
	{ { .server_starter_port = "" }, "" },
	{ { .server_starter_port = "8080=900" }, "8080 900 " },
	{ { .server_starter_port = "127.0.0.1:80=900;/x,y=z=901;[::1]:80=902" }, "127.0.0.1:80 900 /x,y=z 901 [::1]:80 902 " },
	{ { "1234", "1", "web", "a=900", "80=901" }, "web 3 a 900 80 901 " },
};

/* NAME FD, and what an arbiter adds. */
static size_t describe(const struct pfi_inherited_socket *socket, char *to, size_t size)
{
	int used = snprintf(to, size, "%s %d ", socket->name, socket->fd);

	for (unsigned i = 0; i < socket->more_count; i++)
		used += snprintf(to + used, size - (size_t)used, "+%d ", socket->more[i]);
	if (socket->listening > 0)
		used += snprintf(to + used, size - (size_t)used, "listening %u ", socket->listening);
	if (socket->file >= 0)
		used += snprintf(to + used, size - (size_t)used, "file %d %s ", socket->file, socket->path);
	if (socket->is_bound)
		used += snprintf(to + used, size - (size_t)used, "bound ");
	if (socket->is_stored)
		used += snprintf(to + used, size - (size_t)used, "stored ");
	return (size_t)used;
}

START_TEST(inherited_sockets_are_found_by_name)
{
	char found[256] = "";
	size_t used = 0;

	ck_assert_int_eq(pfi_inherit_parse(&good[_i].variables, SELF, &inherited), 0);
	for (size_t i = 0; i < inherited.count; i++) {
		used += describe(&inherited.sockets[i], found + used, sizeof found - used);
		inherited.sockets[i].fd = -1; /* 3 may be open for another purpose */
	}
	ck_assert_str_eq(found, good[_i].names);
	pfi_inherit_finish(&inherited);
}
END_TEST

static const struct {
	struct pfi_inherit_variables variables;
	const char *word;
} bad[] = {
	{ { "x", "1", NULL, NULL }, "LISTEN_PID" },
	{ { "-1", "1", NULL, NULL }, "LISTEN_PID" },
	{ { "", "1", NULL, NULL }, "LISTEN_PID" },
	{ { "99999999999999999999", "1", NULL, NULL }, "LISTEN_PID" },
	{ { "1234", "", NULL, NULL }, "LISTEN_FDS" },
	{ { "1234", "-1", NULL, NULL }, "LISTEN_FDS" },
	{ { "1234", "1x", NULL, NULL }, "LISTEN_FDS" },
	{ { "1234", "2147483647", NULL, NULL }, "LISTEN_FDS" },
	{ { "1234", "1", "a:b", NULL }, "more names" },
	{ { .prefork_fds = "x" }, "NAME=FD" },
	{ { .prefork_fds = "=900" }, "NAME=FD" },
	{ { .prefork_fds = "a=900," }, "NAME=FD" },
	{ { .prefork_fds = "a=" }, "descriptor" },
	{ { .prefork_fds = "a=2" }, "descriptor" },
	{ { .prefork_fds = "a=-900" }, "descriptor" },
	{ { .prefork_fds = "a=b=900" }, "descriptor" },
	{ { .prefork_fds = "a=99999999999999999999999" }, "descriptor" },
	{ { .prefork_fds = "a=900,b=900" }, "twice" },
	{ { .prefork_fds = "a=900+900" }, "twice" },
	{ { .prefork_fds = "a=900+901,b=901" }, "twice" },
	{ { .prefork_fds = "a=900:file=900" }, "twice" },
	{ { .prefork_fds = "a=900:file=901,b=901" }, "twice" },
	{ { .prefork_fds = "a=900+" }, "descriptor" },
	{ { .prefork_fds = "a=+900" }, "descriptor" },
	{ { .prefork_fds = "a=900+2" }, "descriptor" },
	{ { .prefork_fds = "a=900:file=" }, "descriptor" },
	{ { .prefork_fds = "a=900:file=1" }, "descriptor" },
	{ { .prefork_fds = "a=:bound" }, "descriptor" },
	{ { .prefork_fds = "a=900:listening=0" }, "listen" },
	{ { .prefork_fds = "a=900+901:listening=3" }, "listen" },
	{ { .prefork_fds = "a=900:path=%0" }, "hexadecimal" },
	{ { .server_starter_port = "80=900:bound" }, "descriptor" },
	{ { "1234", "1", NULL, "a=3" }, "twice" },
	{ { .server_starter_port = "80" }, "NAME=FD" },
	{ { .server_starter_port = "=900" }, "NAME=FD" },
	{ { .server_starter_port = "80=900;" }, "NAME=FD" },
	{ { .server_starter_port = "80=2" }, "descriptor" },
	{ { .server_starter_port = "80=x" }, "descriptor" },
	{ { .prefork_fds = "a=900", .server_starter_port = "80=900" }, "twice" },
	{ { .prefork_fds = "a%=900" }, "hexadecimal" },
	{ { .prefork_fds = "a%2=900" }, "hexadecimal" },
	{ { .prefork_fds = "a%zz=900" }, "hexadecimal" },
	{ { .prefork_fds = "a%00b=900" }, "hexadecimal" },
};

START_TEST(an_invalid_variable_is_named_in_the_error_message)
{
	ck_assert_int_eq(pfi_inherit_parse(&bad[_i].variables, SELF, &inherited), -EINVAL);
	ck_assert_msg(strstr(prefork_error(), bad[_i].word), "%s", prefork_error());
	ck_assert_ptr_null(inherited.sockets);
}
END_TEST

static struct prefork_listener *opened, *found;

/* Pass a real listener to this process under `name`. */
static void hand_over(const char *name)
{
	char value[128], address[PFI_ADDRESS_TEXT_MAX];

	ck_assert_int_eq(pfi_listener_open("127.0.0.1:0", &pfi_listener_defaults, &opened), 0);
	(void)snprintf(address, sizeof address, "%s", opened->address);
	(void)snprintf(value, sizeof value, "%s=%d", name, dup(opened->fd));
	setenv("PREFORK_FDS", value, 1);
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_PID", "1", 1);
	setenv("SERVER_STARTER_PORT", "", 1);
	ck_assert_int_eq(pfi_inherit_take(false, &inherited), 0);
	ck_assert(!getenv("PREFORK_FDS") && !getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("SERVER_STARTER_PORT"));
	ck_assert_uint_eq(inherited.count, 1);
}

static void finish(void)
{
	pfi_inherit_finish(&inherited);
	pfi_listener_close(found);
	pfi_listener_close(opened);
}

START_TEST(a_socket_is_found_by_its_address_and_only_once)
{
	struct pfi_address address;

	hand_over("other");
	ck_assert_int_eq(pfi_address_parse("127.0.0.1:1", &address), 0);
	ck_assert_int_eq(pfi_inherit_match(&inherited, &address, "127.0.0.1:1", &found), 1);
	ck_assert_int_eq(pfi_address_parse(opened->address, &address), 0);
	ck_assert_int_eq(pfi_inherit_match(&inherited, &address, opened->address, &found), 0);
	ck_assert_str_eq(prefork_listener_address(found), opened->address);
	ck_assert(prefork_listener_is_inherited(found));
	struct prefork_listener *again = NULL;
	ck_assert_int_eq(pfi_inherit_match(&inherited, &address, opened->address, &again), 1);
	ck_assert_int_eq(pfi_inherit_next(&inherited, &again), 1);
	finish();
}
END_TEST

START_TEST(variables_for_the_parent_are_removed_in_a_child)
{
	char first[] = "A=1", pid[] = "LISTEN_PID=1", longer[] = "LISTEN_PIDS=2", watchdog[] = "WATCHDOG_USEC=", slot[] = "PREFORK_SLOT=9",
	     last[] = "B=";
	char *variables[] = { first, pid, longer, watchdog, slot, last, NULL };
	char **const before = environ;

	environ = variables;
	pfi_starter_forget_in_child();
	environ = before;
	ck_assert(variables[0] == first && variables[1] == longer && variables[2] == last && !variables[3]);
}
END_TEST

/* The list before stays as it is: it may belong to the application. */
START_TEST(a_worker_gets_its_slot_in_place_of_another)
{
	char first[] = "A=1", slot[] = "PREFORK_SLOT=9", longer[] = "PREFORK_SLOTS=2";
	char *variables[] = { first, slot, longer, NULL }, *none[] = { NULL };
	char **const lists[] = { variables, none, NULL };
	char **const before = environ;

	environ = lists[_i];
	ck_assert_int_eq(pfi_slot_variable_set(4294967295U), 0);
	ck_assert_str_eq(getenv("PREFORK_SLOT"), "4294967295");
	ck_assert_int_eq(pfi_slot_variable_set(3), 0);
	ck_assert_str_eq(getenv("PREFORK_SLOT"), "3");
	ck_assert_int_eq(setenv("MORE", "1", 1), 0);
	ck_assert_str_eq(getenv("PREFORK_SLOT"), "3");
	if (_i == 0) {
		ck_assert(environ[0] == first && environ[1] == longer && environ[4] == NULL);
		ck_assert(variables[0] == first && variables[1] == slot && variables[2] == longer && !variables[3]);
	}
	environ = before;
}
END_TEST

START_TEST(a_socket_is_found_by_its_name)
{
	struct pfi_address address;

	hand_over("127.0.0.1:0");
	ck_assert_int_eq(pfi_address_parse("127.0.0.1:0", &address), 0);
	ck_assert_int_eq(pfi_inherit_match(&inherited, &address, "127.0.0.1:0", &found), 0);
	finish();
}
END_TEST

START_TEST(an_unlisted_inherited_socket_is_offered_or_closed)
{
	hand_over("other");
	if (_i)
		ck_assert_int_eq(pfi_inherit_next(&inherited, &found), 0);
	finish(); /* tear_down counts */
}
END_TEST

/* The variable is wrong: this file of the application must stay open. */
START_TEST(a_descriptor_that_is_not_a_socket_stays_open)
{
	int fds[2];
	char value[32];

	ck_assert_int_eq(pipe(fds), 0);
	(void)snprintf(value, sizeof value, "a=%d", fds[0]);
	setenv("PREFORK_FDS", value, 1);
	ck_assert_int_eq(pfi_inherit_take(false, &inherited), 0);
	ck_assert_int_eq(pfi_inherit_next(&inherited, &found), -EINVAL);
	pfi_inherit_finish(&inherited);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
}
END_TEST

/* The variable is wrong: a log, say, must not become a listener, and be closed. */
START_TEST(a_descriptor_that_this_process_has_opened_is_refused)
{
	char value[64];
	int fd = pfi_open_log_socket(AF_UNIX);

	ck_assert_int_ge(fd, 0);
	(void)snprintf(value, sizeof value, _i == 0 ? "a=%d" : _i == 1 ? "a=900+%d" : "a=900:file=%d:path=/x", fd);
	setenv("PREFORK_FDS", value, 1);
	ck_assert_int_eq(pfi_inherit_take(false, &inherited), -EINVAL);
	ck_assert_msg(strstr(prefork_error(), "it is a log of this process"), "%s", prefork_error());
	ck_assert_ptr_null(inherited.sockets);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	pfi_close(&fd);
}
END_TEST

#define ADD_TABLE(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof table / sizeof table[0]))

int main(void)
{
	Suite *suite = suite_create("inherit");
	TCase *tc = new_case(suite, "inherit");

	ADD_TABLE(tc, inherited_sockets_are_found_by_name, good);
	ADD_TABLE(tc, an_invalid_variable_is_named_in_the_error_message, bad);
	tcase_add_test(tc, a_socket_is_found_by_its_address_and_only_once);
	tcase_add_test(tc, variables_for_the_parent_are_removed_in_a_child);
	tcase_add_loop_test(tc, a_worker_gets_its_slot_in_place_of_another, 0, 3);
	tcase_add_test(tc, a_socket_is_found_by_its_name);
	tcase_add_loop_test(tc, an_unlisted_inherited_socket_is_offered_or_closed, 0, 2);
	tcase_add_test(tc, a_descriptor_that_is_not_a_socket_stays_open);
	tcase_add_loop_test(tc, a_descriptor_that_this_process_has_opened_is_refused, 0, 3);
	return run_suite(suite);
}
