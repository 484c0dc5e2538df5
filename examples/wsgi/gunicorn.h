/*
 * gunicorn -- error messages for features of gunicorn that prefork-wsgi does not have, with
 * the remedy.
 */
#ifndef WSGI_GUNICORN_H
#define WSGI_GUNICORN_H

struct prefork_settings;

/** Reading `settings` has failed with `error`. If the cause is a flag, a worker class or a
 *  configuration file of gunicorn's, replaces the error message by one with its place (as
 *  GUNICORN_CMD_ARGS) and the remedy. Returns `error`. */
int wsgi_gunicorn_explain(int error, const struct prefork_settings *settings);

#endif
