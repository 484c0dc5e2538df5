/*
 * arbiter/notify.h -- send the state of the arbiter (model/service_state.h) to the service manager, as sd_notify(3) does.
 *
 * Used if NOTIFY_SOCKET is set, by prefork_arbiter_run() and after prefork_arbiter_take_environment(). An embedded
 * arbiter does not use it by itself: it is only a part of its program, and does not have the state of the rest. If the
 * queue of the manager is full, a message is sent later. If the manager has exited, one line is logged.
 */
#ifndef ARBITER_NOTIFY_H
#define ARBITER_NOTIFY_H

#include "model/service_state.h"
#include "model/supervisor.h"
#include "os/notify_socket.h"

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;

/* Written by notify.c. */
struct pfi_notify {
	struct pfi_notify_socket socket;
	struct pfi_service service;
	char pending[PFI_SERVICE_MESSAGE_MAX]; /* not sent yet; "": there is none */
	bool logged_failure;
};

/* Take NOTIFY_SOCKET and WATCHDOG_* out of the environment. A wrong value is logged, and the variable is not used. */
void pfi_notify_open(struct prefork_arbiter *arbiter);
void pfi_notify_close(struct prefork_arbiter *arbiter);

/* Send the messages that are due. Returns when to call again; 0: none is due later. */
uint64_t pfi_notify_turn(struct prefork_arbiter *arbiter, enum pfi_server_phase phase, uint64_t now_ms);

/* A reload begins; it has a verdict: pfi_service_reload_ends(). */
void pfi_notify_reload_begins(struct prefork_arbiter *arbiter);
void pfi_notify_reload_ends(struct prefork_arbiter *arbiter, const char *verdict, const char *why, bool others);

/* The start has failed with this error; its message is the status. */
void pfi_notify_failed(struct prefork_arbiter *arbiter, int error);

/* Another process is the main process of the service now: say so, and nothing more. Call it after that process has
 * renamed its pid file. */
void pfi_notify_replaced(struct prefork_arbiter *arbiter, int main_pid);

#endif
