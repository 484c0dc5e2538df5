/*
 * Input: datagrams on the control channel of a worker, and deadlines in its scoreboard entry. The arbiter
 * reads both. The text of an exit has no control characters and fits into its buffer.
 */
#include "model/deadline.h"
#include "model/exit_record.h"
#include "os/fd.h"
#include "os/control_channel.h"

#include "fuzz.h"

#include <errno.h>
#include <sys/socket.h>

static void demand_clean(const char *text, size_t size)
{
	demand(strlen(text) < size);
	for (; *text != '\0'; text++)
		demand((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void explain(const struct pfi_message *message, const uint8_t *data, size_t size)
{
	char activity[97] = "", cleaned[256], exit_text[512];
	const struct pfi_exit_record record = {
		.known = size % 2, .code = (int)(message->value % 256), .signal = (int)(message->type % 70), .core = size % 3 == 0,
		.pid = 1, .state = (enum pfi_state)(message->type % PFI_STATE_COUNT),
		.cause = (enum pfi_cause)(message->value % PFI_CAUSE_COUNT), .was_ready = size % 5 == 0, .requests = message->value,
		.activity = activity, .note = cleaned,
	};

	memcpy(activity, data, size < sizeof activity - 1 ? size : sizeof activity - 1);
	pfi_exit_clean_text(message->text, cleaned, sizeof cleaned);
	demand_clean(cleaned, sizeof cleaned);
	pfi_exit_explain(&record, exit_text, sizeof exit_text);
	demand_clean(exit_text, sizeof exit_text);
}

static void check_deadlines(const uint8_t *data, size_t size)
{
	struct pfi_thread_deadline threads[16] = { 0 };
	uint64_t now_ms = 0;
	size_t count = 0;

	if (size < sizeof now_ms)
		return;
	memcpy(&now_ms, data, sizeof now_ms);
	for (size_t at = sizeof now_ms; at + 17 <= size && count < 16; at += 17, count++) {
		memcpy(&threads[count].deadline_ms, data + at, 8);
		memcpy(&threads[count].since_ms, data + at + 8, 8);
		threads[count].exists = data[at + 16] % 2;
	}

	const struct pfi_deadline_summary summary = pfi_deadlines_summarize(threads, count, size % 7, now_ms);

	demand(summary.expired <= summary.busy && summary.busy <= count && summary.usable <= count);
	demand((summary.expired > 0) == (summary.expired_ms != 0));
	demand(summary.expired_ms <= now_ms);
	demand(summary.next_ms == 0 || summary.next_ms > now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pfi_message message;
	int ends[2];

	check_deadlines(data, size);
	if (pfi_channel_open(ends) < 0)
		return 0;
	/* Each datagram: its length in two bytes, and that many bytes. */
	while (size >= 2) {
		const size_t wanted = (size_t)data[0] | (size_t)data[1] << 8;
		const size_t length = wanted < size - 2 ? wanted : size - 2;

		memset(&message, 0x55, sizeof message);
		if (send(ends[1], data + 2, length, MSG_NOSIGNAL) == (ssize_t)length) {
			const int r = pfi_channel_receive(ends[0], &message);

			demand(r == 0 || r == -EBADMSG || r == -EPIPE);
			demand(r != -EPIPE || length == 0);
			if (r == 0) {
				demand(strlen(message.text) <= PFI_MESSAGE_TEXT_MAX);
				explain(&message, data + 2, length);
			}
			demand(pfi_channel_receive(ends[0], &message) == -EAGAIN);
		}
		data += 2 + length;
		size -= 2 + length;
	}
	pfi_close(&ends[0]);
	pfi_close(&ends[1]);
	return 0;
}
