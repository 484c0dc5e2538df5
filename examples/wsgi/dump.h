/*
 * dump -- Python's stacks of all threads, for the log, when one of them is stuck.
 */
#ifndef WSGI_DUMP_H
#define WSGI_DUMP_H

/** Write them to `fd`. Async-signal-safe, and without the GIL, for whoever is stuck
 *  may have it. The stacks of threads that go on running may change meanwhile:
 *  then they are shown in part, and nobody is harmed. */
void wsgi_python_dump(int fd);

#endif
