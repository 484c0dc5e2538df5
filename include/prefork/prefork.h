/*
 * prefork/prefork.h -- all that a host of libprefork needs, in one include.
 *
 * HTTP hosts include <prefork/http.h> beside it.
 */
#ifndef PREFORK_PREFORK_H
#define PREFORK_PREFORK_H

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/listener.h>
#include <prefork/log.h>
#include <prefork/proxy.h>
#include <prefork/service.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>
#include <prefork/version.h>
#include <prefork/worker.h>

#endif
