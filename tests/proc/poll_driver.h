/* poll_driver -- a strategy whose loop is an epoll set of the application, with the worker's descriptor in it. */
#ifndef TESTS_POLL_DRIVER_H
#define TESTS_POLL_DRIVER_H

#include <prefork/host_loop.h>
#include <prefork/strategy.h>

/* The listeners are in the outer set, too, and adopted. Reports when it waits. */
extern const struct prefork_strategy poll_driver;

/* The same without adoption, and without reports. */
extern const struct prefork_strategy poll_driver_plain;

#endif
