/*
 * hook_signals -- signals around hooks: in a process that was just forked, and the end of a worker by SIGABRT.
 */
#ifndef WSGI_HOOK_SIGNALS_H
#define WSGI_HOOK_SIGNALS_H

#include "python.h"

/** The library blocks all signals in a process that it has just forked, and programs that a hook starts (subprocess)
 *  would inherit the mask. let() unblocks them; those that the library handles later are noted. hold() blocks them
 *  again, and sends this process those that have arrived. */
void wsgi_hook_signals_let(void);
void wsgi_hook_signals_hold(void);

/** Have wsgi_hook_abort_request() call `function` in the first thread at its next instruction of Python: between two of
 *  these, or if it waits in a system call that Python repeats after EINTR. The caller has the GIL. Returns 0, or -1 with
 *  an exception set. */
int wsgi_hook_abort_prepare(PyObject *function);

/** Async-signal-safe. */
void wsgi_hook_abort_request(void);

#endif
