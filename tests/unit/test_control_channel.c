#include "os/control_channel.h"

#include "../support.h"
#include "os/fdtable.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

static int ends[2];
static struct pfi_message message;

static void open_channel(void)
{
	ck_assert_int_eq(pfi_channel_open(ends), 0);
	memset(&message, 0x55, sizeof message);
}

static void close_channel(void)
{
	pfi_close(&ends[0]);
	pfi_close(&ends[1]);
}

static const char *const texts[] = { NULL, "", "x", "GET /orders 12.3s", "\xff\n\t\x01" };

START_TEST(a_message_is_received_as_sent)
{
	ck_assert_int_eq(pfi_channel_send(ends[1], 7, 0xfffffffe, texts[_i]), 0);
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), 0);
	ck_assert_uint_eq(message.type, 7);
	ck_assert_uint_eq(message.value, 0xfffffffe);
	ck_assert_str_eq(message.text, texts[_i] ? texts[_i] : "");
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), -EAGAIN);
}
END_TEST

START_TEST(a_text_is_truncated_to_its_maximum)
{
	char text[PFI_MESSAGE_TEXT_MAX + 2];

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = 0;
	ck_assert_int_eq(pfi_channel_send(ends[1], 1, 2, text), 0);
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), 0);
	ck_assert_uint_eq(strlen(message.text), PFI_MESSAGE_TEXT_MAX);
}
END_TEST

/* Bytes that a misbehaving worker may send. The next message is received as usual. */
static const struct {
	size_t size;
	char fill;
} garbage[] = {
	{ 1, 'a' },   { 7, 'a' },     { 9, 0 },       { 488, 0 },
	{ 489, 'a' }, { 4000, 'a' },  { 100000, 'a' },
};

START_TEST(an_invalid_message_is_refused_and_discarded)
{
	char *bytes = malloc(garbage[_i].size);

	memset(bytes, garbage[_i].fill, garbage[_i].size);
	ck_assert_int_eq(send(ends[1], bytes, garbage[_i].size, 0), (ssize_t)garbage[_i].size);
	free(bytes);
	ck_assert_int_eq(pfi_channel_send(ends[1], 3, 4, "well"), 0);
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), -EBADMSG);
	ck_assert_uint_eq(message.type, 0x55555555); /* untouched */
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), 0);
	ck_assert_str_eq(message.text, "well");
}
END_TEST

/* A worker cannot pass descriptors to the arbiter. tear_down() counts them, too. */
START_TEST(descriptors_in_messages_are_closed)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
	                        .cmsg_level = SOL_SOCKET,
	                        .cmsg_type = SCM_RIGHTS } };
	struct iovec bytes = { .iov_base = (char[]){ "12345678hi" }, .iov_len = 10 };
	const struct msghdr with_fd = { .msg_iov = &bytes,
		                        .msg_iovlen = 1,
		                        .msg_control = &control,
		                        .msg_controllen = sizeof control };
	const int before = pfi_fd_count();
	int stray = dup(STDIN_FILENO);

	memcpy(CMSG_DATA(&control.head), &stray, sizeof stray);
	ck_assert_int_eq(sendmsg(ends[1], &with_fd, 0), 10);
	close(stray);
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), 0);
	ck_assert_str_eq(message.text, "hi");
	ck_assert_int_eq(pfi_fd_count(), before);
}
END_TEST

/* From the arbiter to a worker: the copies are entered in the table of descriptors, so that no child keeps them. */
START_TEST(descriptors_for_a_worker_arrive)
{
	int pipe_fds[2], received[PFI_MESSAGE_FDS_MAX], too_many[PFI_MESSAGE_FDS_MAX + 1] = { 0 };
	size_t count = 99;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(pfi_channel_send_fds(ends[0], 18, 0, "3,4", pipe_fds, 2), 0);
	ck_assert_int_eq(pfi_channel_send(ends[0], 19, 0, NULL), 0);
	ck_assert_int_eq(pfi_channel_receive_fds(ends[1], &message, received, &count), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(message.text, "3,4");
	ck_assert_int_eq(write(received[1], "x", 1), 1);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(pfi_fdtable_look_up(received[i]).kind, PFI_FD_LOG);
		ck_assert_int_ne(fcntl(received[i], F_GETFD) & FD_CLOEXEC, 0);
		pfi_close(&received[i]);
		(void)close(pipe_fds[i]);
	}
	ck_assert_int_eq(pfi_channel_receive_fds(ends[1], &message, received, &count), 0);
	ck_assert_uint_eq(message.type, 19);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(pfi_channel_receive_fds(ends[1], &message, received, &count), -EAGAIN);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(pfi_channel_send_fds(ends[0], 18, 0, "", too_many, PFI_MESSAGE_FDS_MAX + 1), -E2BIG);
}
END_TEST

/* Messages are received before the end of file. A SIGPIPE would end the test. */
START_TEST(end_of_file_and_no_data_are_distinguished)
{
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), -EAGAIN);
	ck_assert_int_eq(pfi_channel_send(ends[1], 1, 0, "exit message"), 0);
	pfi_close(&ends[1]);
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), 0);
	ck_assert_str_eq(message.text, "exit message");
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), -EPIPE);
	ck_assert_int_eq(pfi_channel_send(ends[0], 1, 0, "hello?"), -EPIPE);
}
END_TEST

START_TEST(unread_messages_of_a_closed_end_are_lost)
{
	ck_assert_int_eq(pfi_channel_send(ends[0], 1, 0, "never read"), 0);
	pfi_close(&ends[1]);
	ck_assert_int_eq(pfi_channel_receive(ends[0], &message), -EPIPE);
}
END_TEST

START_TEST(sending_on_a_full_channel_does_not_block)
{
	int sent = 0;

	while (pfi_channel_send(ends[0], (uint32_t)sent, 0, "fill") == 0)
		sent++;
	ck_assert_int_gt(sent, 5);
	ck_assert_int_eq(pfi_channel_send(ends[0], 0, 0, NULL), -EAGAIN);
	for (int i = 0; i < sent; i++) {
		ck_assert_int_eq(pfi_channel_receive(ends[1], &message), 0);
		ck_assert_uint_eq(message.type, (uint32_t)i);
	}
	ck_assert_int_eq(pfi_channel_receive(ends[1], &message), -EAGAIN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control channel");
	TCase *tc = new_case(suite, "control channel");

	tcase_add_checked_fixture(tc, open_channel, close_channel);
	tcase_add_loop_test(tc, a_message_is_received_as_sent, 0, (int)(sizeof texts / sizeof texts[0]));
	tcase_add_test(tc, a_text_is_truncated_to_its_maximum);
	tcase_add_loop_test(tc, an_invalid_message_is_refused_and_discarded, 0,
	                    (int)(sizeof garbage / sizeof garbage[0]));
	tcase_add_test(tc, descriptors_in_messages_are_closed);
	tcase_add_test(tc, descriptors_for_a_worker_arrive);
	tcase_add_test(tc, end_of_file_and_no_data_are_distinguished);
	tcase_add_test(tc, unread_messages_of_a_closed_end_are_lost);
	tcase_add_test(tc, sending_on_a_full_channel_does_not_block);
	return run_suite(suite);
}
