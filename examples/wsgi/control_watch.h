/*
 * control_watch -- interrupt a worker class when the arbiter wants something of its worker.
 *
 * Its loop may wait for anything, for any time. So a thread waits for the control descriptor of the worker, and has the
 * first thread execute Python's handler of a signal. Process-wide, as signal handlers are; for the first thread.
 */
#ifndef WSGI_CONTROL_WATCH_H
#define WSGI_CONTROL_WATCH_H

/** Send the calling thread `signo` whenever `fd`, which is borrowed, is readable. After each signal nothing more is sent
 *  until wsgi_control_watch_again(). Returns 0 or a negative errno; -EALREADY if it runs. */
int wsgi_control_watch_start(int fd, int signo);

/** The signal is handled: send it again when the descriptor is readable, or after `after_ms`; below 0: no such time. */
void wsgi_control_watch_again(int after_ms);

/** End the thread. No effect if it does not run. */
void wsgi_control_watch_stop(void);

/** Have SIGABRT log the stack of the first thread before the handler that is set now, which is Python's: it takes effect
 *  only when that thread executes Python again. The first thread. */
void wsgi_control_watch_abort(void);

#endif
