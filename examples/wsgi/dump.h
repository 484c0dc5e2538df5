/*
 * dump -- write the Python stacks of all threads to the log if one of them is stuck.
 */
#ifndef WSGI_DUMP_H
#define WSGI_DUMP_H

/** Write them to `fd`. Async-signal-safe; does not take the GIL, since the stuck thread may
 *  hold it. If a running thread changes its stack meanwhile, the dump is incomplete; the
 *  process is not harmed. */
void wsgi_python_dump(int fd);

#endif
