/*
 * arbiter/child_messages.h -- process the messages that workers send over their control channels (model/message.h).
 */
#ifndef ARBITER_CHILD_MESSAGES_H
#define ARBITER_CHILD_MESSAGES_H

#include <stdint.h>

struct prefork_arbiter;
struct prefork_process;

/* Read and process what the worker has sent: 16 messages per call, 500 in its life and one more per 100 ms. */
void pfi_child_receive(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);

#endif
