/*
 * gunicorn -- what gunicorn has and this program has not, and what to do instead.
 */
#ifndef WSGI_GUNICORN_H
#define WSGI_GUNICORN_H

struct prefork_settings;

/** Reading `settings` failed with `error`. Where that is because of a flag, a worker class or a
 *  configuration file of gunicorn's, prefork_error() says so afterwards, with the place (as
 *  GUNICORN_CMD_ARGS) and what to do instead. Returns `error`. */
int wsgi_gunicorn_explain(int error, const struct prefork_settings *settings);

#endif
