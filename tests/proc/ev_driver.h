/* A strategy on libev, for tests; see ev_driver.c. */
#ifndef TESTS_EV_DRIVER_H
#define TESTS_EV_DRIVER_H

#include <prefork/strategy.h>

extern const struct prefork_strategy ev_driver;

#endif
