/*
 * The rows of test_required.c: each public function with NULL for each argument that must not be NULL, and
 * its result. The test fails for a function without a row.
 *
 * NUMBER: returns this number, sets an error message   POINTER: returns NULL, sets an error message
 * NOTHING: returns void, sets an error message         QUIET: accepts it, or sets no message; does not crash
 * UNTRIED: is not called
 */
#ifndef TESTS_REQUIRED_H
#define TESTS_REQUIRED_H

#ifdef WITH_TLS
#define REQUIRED_TLS_ROWS(NUMBER, POINTER, UNTRIED) \
	NUMBER(prefork_tls_add_options, settings, (NULL), -EINVAL) \
	NUMBER(prefork_tls_attach, arbiter, (NULL, ANY), -EINVAL) \
	POINTER(prefork_tls_ssl, connection, (NULL)) \
	NUMBER(prefork_tls_use_context, tls, (NULL, "text", ANY), -EINVAL) \
	NUMBER(prefork_tls_use_context, pool, (ANY, NULL, ANY), -EINVAL) \
	NUMBER(prefork_tls_use_context, context, (ANY, "text", NULL), -EINVAL) \
	POINTER(prefork_tls_variable, connection, (NULL, "text")) \
	POINTER(prefork_tls_variable, name, (ANY, NULL)) \
	POINTER(prefork_tls_variable_at, connection, (NULL, 1, ANY)) \
	POINTER(prefork_tls_variable_at, ret_name, (ANY, 1, NULL))
#else /* OpenSSL is missing */
#define REQUIRED_TLS_ROWS(NUMBER, POINTER, UNTRIED) \
	UNTRIED(prefork_tls_add_options) \
	UNTRIED(prefork_tls_attach) \
	UNTRIED(prefork_tls_ssl) \
	UNTRIED(prefork_tls_use_context) \
	UNTRIED(prefork_tls_variable) \
	UNTRIED(prefork_tls_variable_at)
#endif

#define REQUIRED_ROWS(NUMBER, POINTER, NOTHING, QUIET, UNTRIED) \
	/* <prefork/arbiter.h> */ \
	NUMBER(prefork_arbiter_add_hooks, arbiter, (NULL, ANY, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_add_hooks, hooks, (ANY, NULL, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_add_pool, arbiter, (NULL, "text", ANY, ANY, NULL, ANY), -EINVAL) \
	NUMBER(prefork_arbiter_add_pool, name, (ANY, NULL, ANY, ANY, NULL, ANY), -EINVAL) \
	NUMBER(prefork_arbiter_add_service, arbiter, (NULL, "text", ANY, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_add_service, name, (ANY, NULL, ANY, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_add_service, service, (ANY, "text", NULL, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_add_strategy, arbiter, (NULL, ANY), -EINVAL) \
	NUMBER(prefork_arbiter_add_strategy, strategy, (ANY, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_attach, arbiter, (NULL, ANY, NULL, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_create, settings, (NULL, ANY), -EINVAL) \
	NUMBER(prefork_arbiter_create, ret, (ANY, NULL), -EINVAL) \
	QUIET(prefork_arbiter_destroy, arbiter, (NULL)) \
	NUMBER(prefork_arbiter_dispatch, arbiter, (NULL), -EINVAL) \
	NUMBER(prefork_arbiter_fd, arbiter, (NULL), -EINVAL) \
	POINTER(prefork_arbiter_listener, arbiter, (NULL, 1)) \
	POINTER(prefork_arbiter_log, arbiter, (NULL)) \
	QUIET(prefork_arbiter_request_reload, arbiter, (NULL)) \
	QUIET(prefork_arbiter_request_upgrade, arbiter, (NULL)) \
	QUIET(prefork_arbiter_request_scale, arbiter, (NULL, 1, 1)) \
	QUIET(prefork_arbiter_request_stop, arbiter, (NULL, false)) \
	NUMBER(prefork_arbiter_keep_fd, arbiter, (NULL, "text", 1), -EINVAL) \
	NUMBER(prefork_arbiter_keep_fd, name, (ANY, NULL, 1), -EINVAL) \
	NUMBER(prefork_arbiter_kept_fd, arbiter, (NULL, "text"), -EINVAL) \
	NUMBER(prefork_arbiter_kept_fd, name, (ANY, NULL), -EINVAL) \
	NOTHING(prefork_arbiter_unwatch, arbiter, (NULL, 1)) \
	NUMBER(prefork_arbiter_override, arbiter, (NULL, "text", "text", "text"), -EINVAL) \
	NUMBER(prefork_arbiter_override, name, (ANY, NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_arbiter_override, text, (ANY, "text", NULL, "text"), -EINVAL) \
	NUMBER(prefork_arbiter_override, place, (ANY, "text", "text", NULL), -EINVAL) \
	NUMBER(prefork_arbiter_override_append, arbiter, (NULL, "text", "text", "text"), -EINVAL) \
	NUMBER(prefork_arbiter_override_append, name, (ANY, NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_arbiter_override_append, text, (ANY, "text", NULL, "text"), -EINVAL) \
	NUMBER(prefork_arbiter_override_append, place, (ANY, "text", "text", NULL), -EINVAL) \
	NUMBER(prefork_arbiter_set_reload_trial, arbiter, (NULL, ANY), -EINVAL) \
	NUMBER(prefork_arbiter_set_reload_trial, trial, (ANY, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_watch, arbiter, (NULL, 1, ANY, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_watch, ready, (ANY, 1, NULL, NULL), -EINVAL) \
	NUMBER(prefork_arbiter_run, arbiter, (NULL), -EINVAL) \
	POINTER(prefork_arbiter_settings, arbiter, (NULL)) \
	NUMBER(prefork_arbiter_start, arbiter, (NULL), -EINVAL) \
	NUMBER(prefork_arbiter_take_environment, arbiter, (NULL), -EINVAL) \
	NOTHING(prefork_arbiter_take_signals, arbiter, (NULL, false)) \
	NUMBER(prefork_pool_set, pool, (NULL, "text", "text"), -EINVAL) \
	POINTER(prefork_process_settings, process, (NULL)) \
	NUMBER(prefork_process_send, process, (NULL, "text", 1), -EINVAL) \
	NUMBER(prefork_process_send, topic, (ANY, NULL, 1), -EINVAL) \
	NUMBER(prefork_process_age_ms, process, (NULL), 0) \
	NUMBER(prefork_process_peer, process, (NULL, "text", ANY, 16), -EINVAL) \
	NUMBER(prefork_process_peer, setting, (ANY, NULL, ANY, 16), -EINVAL) \
	NUMBER(prefork_process_peer, address, (ANY, "text", NULL, 16), -EINVAL) \
	NUMBER(prefork_process_generation, process, (NULL), 0) \
	POINTER(prefork_process_activity, process, (NULL)) \
	NUMBER(prefork_process_pid, process, (NULL), -EINVAL) \
	POINTER(prefork_process_pool, process, (NULL)) \
	NUMBER(prefork_process_reason, process, (NULL), PREFORK_REASON_UNKNOWN) \
	NUMBER(prefork_process_requests, process, (NULL), 0) \
	POINTER(prefork_process_rusage, process, (NULL)) \
	POINTER(prefork_process_exit_message, process, (NULL)) \
	NOTHING(prefork_process_set_user, process, (NULL, NULL)) \
	NUMBER(prefork_process_slot, process, (NULL), UINT_MAX) \
	NUMBER(prefork_process_status, process, (NULL), -EINVAL) \
	POINTER(prefork_process_user, process, (NULL)) \
	NOTHING(prefork_title_take, argv, (1, NULL)) \
	/* <prefork/error.h> */ \
	QUIET(prefork_error, nothing, ()) \
	QUIET(prefork_error_clear, nothing, ()) \
	QUIET(prefork_exit_status, nothing, (-EINVAL)) \
	QUIET(prefork_fail, nothing, (0, "%s", "")) \
	QUIET(prefork_fail, format, (0, no_format)) \
	/* <prefork/http.h> */ \
	NUMBER(prefork_access_line, access, (NULL, ANY, 1), 0) \
	NUMBER(prefork_access_line, bytes, (ANY, NULL, 1), 0) \
	QUIET(prefork_access_line, size, (ANY, ANY, 0)) \
	NUMBER(prefork_access_sent, access, (NULL), 0) \
	NUMBER(prefork_access_status, access, (NULL), 0) \
	NUMBER(prefork_access_took_us, access, (NULL), 0) \
	NUMBER(prefork_error_page_body, page, (NULL, "text", ANY, 1), -EINVAL) \
	NUMBER(prefork_error_page_body, type, (ANY, NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_error_page_body, bytes, (ANY, "text", NULL, 1), -EINVAL) \
	POINTER(prefork_error_page_detail, page, (NULL)) \
	NUMBER(prefork_error_page_field, page, (NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_error_page_field, name, (ANY, NULL, "text"), -EINVAL) \
	NUMBER(prefork_error_page_field, value, (ANY, "text", NULL), -EINVAL) \
	NUMBER(prefork_error_page_status, page, (NULL), -EINVAL) \
	NUMBER(prefork_http_add_options, settings, (NULL), -EINVAL) \
	NUMBER(prefork_http_add_service, arbiter, (NULL, "text", ANY, NULL), -EINVAL) \
	NUMBER(prefork_http_add_service, pool, (ANY, NULL, ANY, NULL), -EINVAL) \
	NUMBER(prefork_http_add_service, service, (ANY, "text", NULL, NULL), -EINVAL) \
	NUMBER(prefork_http_load, ret, (1, ANY, NULL), -EINVAL) \
	POINTER(prefork_request_connection, request, (NULL)) \
	NUMBER(prefork_request_content_length, request, (NULL), -EINVAL) \
	NUMBER(prefork_request_error, request, (NULL), -EINVAL) \
	POINTER(prefork_request_header, request, (NULL, "text", ANY)) \
	POINTER(prefork_request_header, name, (ANY, NULL, ANY)) \
	POINTER(prefork_request_header_at, request, (NULL, 1, ANY, ANY, ANY)) \
	POINTER(prefork_request_header_at, ret_name, (ANY, 1, NULL, ANY, ANY)) \
	NUMBER(prefork_request_header_count, request, (NULL), 0) \
	NUMBER(prefork_request_listener, request, (NULL), SIZE_MAX) \
	POINTER(prefork_request_method, request, (NULL, ANY)) \
	NUMBER(prefork_request_minor_version, request, (NULL), 0) \
	POINTER(prefork_request_path, request, (NULL, ANY)) \
	POINTER(prefork_request_peer, request, (NULL, ANY)) \
	POINTER(prefork_request_query, request, (NULL, ANY)) \
	NUMBER(prefork_request_read, request, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_request_read, bytes, (ANY, NULL, 1), -EINVAL) \
	POINTER(prefork_request_scheme, request, (NULL)) \
	POINTER(prefork_request_service_user, request, (NULL)) \
	NOTHING(prefork_request_set_user, request, (NULL, NULL)) \
	NUMBER(prefork_request_suspend, request, (NULL), -EINVAL) \
	NUMBER(prefork_request_resume, request, (NULL), -EINVAL) \
	NUMBER(prefork_request_is_abandoned, request, (NULL), true) \
	POINTER(prefork_request_target, request, (NULL, ANY)) \
	POINTER(prefork_request_trailer, request, (NULL, "text", ANY)) \
	POINTER(prefork_request_trailer, name, (ANY, NULL, ANY)) \
	POINTER(prefork_request_trailer_at, request, (NULL, 1, ANY, ANY, ANY)) \
	POINTER(prefork_request_trailer_at, ret_name, (ANY, 1, NULL, ANY, ANY)) \
	NUMBER(prefork_request_trailer_count, request, (NULL), 0) \
	POINTER(prefork_request_user, request, (NULL)) \
	POINTER(prefork_request_worker, request, (NULL)) \
	NUMBER(prefork_response_begun, request, (NULL), false) \
	NUMBER(prefork_response_bytes, request, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_response_bytes, bytes, (ANY, NULL, 1), -EINVAL) \
	NUMBER(prefork_response_close, request, (NULL), -EINVAL) \
	NUMBER(prefork_response_end, request, (NULL), -EINVAL) \
	NUMBER(prefork_response_field, request, (NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_response_field, name, (ANY, NULL, "text"), -EINVAL) \
	NUMBER(prefork_response_field, value, (ANY, "text", NULL), -EINVAL) \
	NUMBER(prefork_response_file, request, (NULL, 1, 0, 1), -EINVAL) \
	NUMBER(prefork_response_header, request, (NULL, "text", 1, "text", 1), -EINVAL) \
	NUMBER(prefork_response_header, name, (ANY, NULL, 1, "text", 1), -EINVAL) \
	NUMBER(prefork_response_header, value, (ANY, "text", 1, NULL, 1), -EINVAL) \
	NUMBER(prefork_response_last, request, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_response_last, bytes, (ANY, NULL, 1), -EINVAL) \
	NUMBER(prefork_response_pull, request, (NULL, NULL, NULL), -EINVAL) \
	NUMBER(prefork_response_pull, pull, (ANY, NULL, NULL), -EINVAL) \
	NUMBER(prefork_response_reset, request, (NULL), -EINVAL) \
	NUMBER(prefork_response_start, request, (NULL, 1, "text"), -EINVAL) \
	NUMBER(prefork_response_sent, request, (NULL), 0) \
	NUMBER(prefork_response_status, request, (NULL), 0) \
	NUMBER(prefork_response_write, request, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_response_write, bytes, (ANY, NULL, 1), -EINVAL) \
	/* <prefork/host_loop.h> */ \
	NOTHING(prefork_connection_work, connection, (NULL)) \
	NOTHING(prefork_wait_set_user, wait, (NULL, NULL)) \
	POINTER(prefork_wait_user, wait, (NULL)) \
	NUMBER(prefork_worker_accept_fd, worker, (NULL, 0, ANY), -EINVAL) \
	NUMBER(prefork_worker_accept_fd, ret_fd, (ANY, 0, NULL), -EINVAL) \
	NUMBER(prefork_worker_adopt_listeners, worker, (NULL), -EINVAL) \
	NUMBER(prefork_worker_dispatch, worker, (NULL), 0) \
	NOTHING(prefork_worker_listener_ready, worker, (NULL, 1)) \
	NOTHING(prefork_worker_poll_close, worker, (NULL)) \
	NUMBER(prefork_worker_poll_fd, worker, (NULL), -EINVAL) \
	NUMBER(prefork_worker_poll_open, worker, (NULL, NULL, NULL), -EINVAL) \
	/* <prefork/listener.h> */ \
	POINTER(prefork_listener_address, listener, (NULL)) \
	NUMBER(prefork_listener_fd, listener, (NULL), -EINVAL) \
	NUMBER(prefork_listener_is_inherited, listener, (NULL), false) \
	NUMBER(prefork_listener_pending, listener, (NULL), -EINVAL) \
	POINTER(prefork_listener_name, listener, (NULL)) \
	/* <prefork/log.h> */ \
	NUMBER(prefork_log_set_counter, log, (NULL, NULL, NULL), -EINVAL) \
	NUMBER(prefork_log_add_syslog, log, (NULL, "text", "text", "text"), -EINVAL) \
	NUMBER(prefork_log_add_syslog, address, (ANY, NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_log_add_syslog, identity, (ANY, "text", NULL, "text"), -EINVAL) \
	NUMBER(prefork_log_add_syslog, facility, (ANY, "text", "text", NULL), -EINVAL) \
	NOTHING(prefork_log_block, title, (ANY, PREFORK_LOG_CRITICAL, "text", NULL, "text", 1)) \
	NOTHING(prefork_log_block, text, (ANY, PREFORK_LOG_CRITICAL, "text", "text", NULL, 1)) \
	QUIET(prefork_log_block, log, (NULL, PREFORK_LOG_ERROR, "room", "title", "text", 4)) \
	NUMBER(prefork_log_check, path, (NULL, 1), -EINVAL) \
	NUMBER(prefork_log_create, path, (NULL, 1, ANY), -EINVAL) \
	NUMBER(prefork_log_create, ret, ("text", 1, NULL), -EINVAL) \
	QUIET(prefork_log_destroy, log, (NULL)) \
	NUMBER(prefork_log_level_of, name, (NULL), -EINVAL) \
	NOTHING(prefork_log_pass, log, (NULL, PREFORK_LOG_INFO, "text", NULL, 0)) \
	NOTHING(prefork_log_pass, message, (ANY, PREFORK_LOG_INFO, NULL, NULL, 0)) \
	NOTHING(prefork_log_pass, pairs, (ANY, PREFORK_LOG_INFO, "text", NULL, 1)) \
	NOTHING(prefork_log_pass, level, (ANY, (enum prefork_log_level)99, "text", NULL, 0)) \
	NUMBER(prefork_log_put, log, (NULL, "text", 1), -EINVAL) \
	NUMBER(prefork_log_put, bytes, (ANY, NULL, 1), -EINVAL) \
	NUMBER(prefork_log_reopen, log, (NULL), -EINVAL) \
	NOTHING(prefork_log_printf, format, (ANY, PREFORK_LOG_CRITICAL, "text", NULL)) \
	QUIET(prefork_log_printf, log, (NULL, PREFORK_LOG_ERROR, "room", "%s", "text")) \
	NOTHING(prefork_log_set_level, log, (NULL, PREFORK_LOG_CRITICAL)) \
	NOTHING(prefork_log_set_level, level, (ANY, (enum prefork_log_level)99)) \
	NOTHING(prefork_log_set_sink, log, (NULL, NULL, NULL)) \
	NUMBER(prefork_log_take_lost, log, (NULL), 0) \
	QUIET(prefork_log_enabled, log, (NULL, PREFORK_LOG_CRITICAL)) \
	NOTHING(prefork_log_write, format, (ANY, PREFORK_LOG_CRITICAL, "text", ANY, 1, NULL)) \
	NOTHING(prefork_log_write, pairs, (ANY, PREFORK_LOG_CRITICAL, "text", NULL, 1, "text")) \
	QUIET(prefork_log_write, log, (NULL, PREFORK_LOG_ERROR, "room", NULL, 0, "%s", "text")) \
	/* <prefork/proxy.h> */ \
	POINTER(prefork_connection_proxy_destination, connection, (NULL, NULL)) \
	NUMBER(prefork_connection_proxy_is_local, connection, (NULL), false) \
	NUMBER(prefork_connection_proxy_ssl, connection, (NULL), 0) \
	POINTER(prefork_connection_proxy_tlv, connection, (NULL, 1, ANY)) \
	POINTER(prefork_connection_proxy_tlv, ret_size, (ANY, 1, NULL)) \
	NUMBER(prefork_connection_proxy_version, connection, (NULL), 0) \
	POINTER(prefork_connection_socket_peer, connection, (NULL, NULL)) \
	/* <prefork/service.h> */ \
	NOTHING(prefork_connection_end_follows, connection, (NULL)) \
	NOTHING(prefork_connection_end_output, connection, (NULL)) \
	NUMBER(prefork_connection_error, connection, (NULL), -EINVAL) \
	NUMBER(prefork_connection_cancel_waits, connection, (NULL), false) \
	NUMBER(prefork_connection_fd, connection, (NULL), -EINVAL) \
	NUMBER(prefork_connection_is_task, connection, (NULL), false) \
	NOTHING(prefork_connection_set_activity, connection, (NULL, "text", 1)) \
	NOTHING(prefork_connection_set_activity, bytes, (ANY, NULL, 1)) \
	NUMBER(prefork_connection_try_offload, connection, (NULL, NULL, NULL, ANY), -EINVAL) \
	NUMBER(prefork_connection_try_offload, work, (ANY, NULL, NULL, ANY), -EINVAL) \
	NOTHING(prefork_connection_resume, connection, (NULL, PREFORK_WAIT_READABLE)) \
	NUMBER(prefork_connection_is_secure, connection, (NULL), false) \
	NUMBER(prefork_connection_is_offloaded, connection, (NULL), false) \
	NUMBER(prefork_connection_listener, connection, (NULL), SIZE_MAX) \
	NUMBER(prefork_connection_drain_ms, connection, (NULL), 0) \
	NUMBER(prefork_connection_may_block, connection, (NULL), false) \
	NUMBER(prefork_connection_offload, connection, (NULL, NULL, NULL), PREFORK_CLOSE) \
	NUMBER(prefork_connection_offload, work, (ANY, NULL, NULL), PREFORK_CLOSE) \
	POINTER(prefork_connection_peer, connection, (NULL, ANY)) \
	NUMBER(prefork_connection_pending, connection, (NULL), 0) \
	NUMBER(prefork_connection_read, connection, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_connection_read, bytes, (ANY, NULL, 1), -EINVAL) \
	NUMBER(prefork_connection_send, connection, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_connection_send, pieces, (ANY, NULL, 1), -EINVAL) \
	NUMBER(prefork_connection_send_file, connection, (NULL, 1, ANY, 1), -EINVAL) \
	NUMBER(prefork_connection_send_file, offset, (ANY, 1, NULL, 1), -EINVAL) \
	NOTHING(prefork_connection_set_deadline, connection, (NULL, 1)) \
	NOTHING(prefork_connection_set_user, connection, (NULL, NULL)) \
	POINTER(prefork_connection_user, connection, (NULL)) \
	NOTHING(prefork_connection_unwatch, connection, (NULL)) \
	NUMBER(prefork_connection_wait, connection, (NULL, PREFORK_WAIT_READABLE, 1), -EINVAL) \
	NUMBER(prefork_connection_watch, connection, (NULL, 1000), -EINVAL) \
	POINTER(prefork_connection_worker, connection, (NULL)) \
	NUMBER(prefork_connection_write, connection, (NULL, ANY, 1), PREFORK_CLOSE) \
	NUMBER(prefork_connection_write, bytes, (ANY, NULL, 1), PREFORK_CLOSE) \
	NUMBER(prefork_worker_is_full, worker, (NULL), false) \
	NUMBER(prefork_worker_may_block, worker, (NULL), false) \
	NUMBER(prefork_worker_queued, worker, (NULL), 0) \
	/* <prefork/settings.h> */ \
	NUMBER(prefork_settings_accept_arguments, settings, (NULL, 1, 1, "text"), -EINVAL) \
	NUMBER(prefork_settings_add_check, settings, (NULL, NULL, NULL), -EINVAL) \
	NUMBER(prefork_settings_add_check, check, (ANY, NULL, NULL), -EINVAL) \
	NUMBER(prefork_settings_add_choice, settings, (NULL, "text", "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_add_choice, name, (ANY, NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_add_choice, word, (ANY, "text", NULL, "text"), -EINVAL) \
	NUMBER(prefork_settings_add_module, settings, (NULL, ANY), -EINVAL) \
	NUMBER(prefork_settings_add_module, module, (ANY, NULL), -EINVAL) \
	NUMBER(prefork_settings_add_options, settings, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_settings_add_options, rows, (ANY, NULL, 1), -EINVAL) \
	POINTER(prefork_settings_argument, settings, (NULL, 1)) \
	NUMBER(prefork_settings_argument_count, settings, (NULL), 0) \
	NUMBER(prefork_settings_claim_variable, settings, (NULL, "text"), -EINVAL) \
	NUMBER(prefork_settings_claim_variable, name, (ANY, NULL), -EINVAL) \
	NUMBER(prefork_settings_count, settings, (NULL, "text"), 0) \
	NUMBER(prefork_settings_count, name, (ANY, NULL), 0) \
	NUMBER(prefork_settings_create, ret, (NULL), -EINVAL) \
	QUIET(prefork_settings_destroy, settings, (NULL)) \
	NUMBER(prefork_settings_int, settings, (NULL, "text"), -EINVAL) \
	NUMBER(prefork_settings_int, name, (ANY, NULL), -EINVAL) \
	NUMBER(prefork_settings_get_int, settings, (NULL, "text", ANY), -EINVAL) \
	NUMBER(prefork_settings_get_int, name, (ANY, NULL, ANY), -EINVAL) \
	NUMBER(prefork_settings_get_int, ret, (ANY, "text", NULL), -EINVAL) \
	POINTER(prefork_settings_item, settings, (NULL, "text", 1)) \
	POINTER(prefork_settings_item, name, (ANY, NULL, 1)) \
	NUMBER(prefork_settings_load, argv, (1, NULL, ANY), -EINVAL) \
	NUMBER(prefork_settings_load, ret, (1, ANY, NULL), -EINVAL) \
	NUMBER(prefork_settings_origin, settings, (NULL, "text", ANY, ANY), -EINVAL) \
	NUMBER(prefork_settings_origin, name, (ANY, NULL, ANY, ANY), -EINVAL) \
	NUMBER(prefork_settings_origin_of, settings, (NULL, ANY, ANY, ANY), -EINVAL) \
	NUMBER(prefork_settings_origin_of, member, (ANY, NULL, ANY, ANY), -EINVAL) \
	NUMBER(prefork_settings_parse, settings, (NULL, 1, ANY), -EINVAL) \
	NUMBER(prefork_settings_parse, argv, (ANY, 1, NULL), -EINVAL) \
	NUMBER(prefork_settings_run_as, settings, (NULL), -EINVAL) \
	NUMBER(prefork_settings_assign, settings, (NULL, "text", "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_assign, name, (ANY, NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_assign, text, (ANY, "text", NULL, "text"), -EINVAL) \
	NUMBER(prefork_settings_assign, place, (ANY, "text", "text", NULL), -EINVAL) \
	NUMBER(prefork_settings_override, settings, (NULL, "text", "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_override, name, (ANY, NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_override, text, (ANY, "text", NULL, "text"), -EINVAL) \
	NUMBER(prefork_settings_override, place, (ANY, "text", "text", NULL), -EINVAL) \
	NUMBER(prefork_settings_override_append, settings, (NULL, "text", "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_override_append, name, (ANY, NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_override_append, text, (ANY, "text", NULL, "text"), -EINVAL) \
	NUMBER(prefork_settings_override_append, place, (ANY, "text", "text", NULL), -EINVAL) \
	NUMBER(prefork_settings_set_completion, settings, (NULL, ANY, NULL), -EINVAL) \
	NUMBER(prefork_settings_set_completion, complete, (ANY, NULL, NULL), -EINVAL) \
	NUMBER(prefork_settings_set_file_reader, settings, (NULL, ANY, NULL), -EINVAL) \
	NUMBER(prefork_settings_set_file_reader, read, (ANY, NULL, NULL), -EINVAL) \
	NUMBER(prefork_settings_set_user, settings, (NULL, NULL), -EINVAL) \
	POINTER(prefork_settings_user, settings, (NULL)) \
	POINTER(prefork_settings_directory, settings, (NULL)) \
	NUMBER(prefork_settings_set_argument_variable, settings, (NULL, "text"), -EINVAL) \
	NUMBER(prefork_settings_set_default, settings, (NULL, "text", "text"), -EINVAL) \
	NUMBER(prefork_settings_set_default, name, (ANY, NULL, "text"), -EINVAL) \
	NUMBER(prefork_settings_set_default, text, (ANY, "text", NULL), -EINVAL) \
	NUMBER(prefork_settings_set_program, settings, (NULL, "text", "text", "text"), -EINVAL) \
	POINTER(prefork_settings_text, settings, (NULL, "text")) \
	POINTER(prefork_settings_text, name, (ANY, NULL)) \
	POINTER(prefork_settings_values, settings, (NULL, ANY)) \
	POINTER(prefork_settings_values, module, (ANY, NULL)) \
	NUMBER(prefork_settings_was_set, settings, (NULL, "text"), 0) \
	NUMBER(prefork_settings_was_set, name, (ANY, NULL), 0) \
	/* <prefork/strategy.h> */ \
	NOTHING(prefork_connection_abandon, connection, (NULL)) \
	NOTHING(prefork_connection_close, connection, (NULL)) \
	NUMBER(prefork_connection_deadline_ms, connection, (NULL), 0) \
	POINTER(prefork_connection_driver, connection, (NULL)) \
	NUMBER(prefork_connection_expire, connection, (NULL), PREFORK_CLOSE) \
	NUMBER(prefork_connection_drain, connection, (NULL), PREFORK_CLOSE) \
	NUMBER(prefork_connection_proceed, connection, (NULL), PREFORK_CLOSE) \
	NOTHING(prefork_connection_set_driver, connection, (NULL, ANY)) \
	NUMBER(prefork_connection_read_would_block, connection, (NULL), false) \
	NUMBER(prefork_worker_accept, worker, (NULL, 1, ANY), -EINVAL) \
	NUMBER(prefork_worker_accept, ret, (ANY, 1, NULL), -EINVAL) \
	NOTHING(prefork_worker_close_listeners, worker, (NULL)) \
	NUMBER(prefork_worker_connections, worker, (NULL), 0) \
	NUMBER(prefork_worker_empties_queues, worker, (NULL), false) \
	POINTER(prefork_worker_take_resumed, worker, (NULL, ANY)) \
	POINTER(prefork_worker_take_resumed, ret_next, (ANY, NULL)) \
	NUMBER(prefork_worker_accept_retry_ms, worker, (NULL), 0) \
	NOTHING(prefork_worker_set_queued, worker, (NULL, false, 1)) \
	/* <prefork/tls.h> */ \
	REQUIRED_TLS_ROWS(NUMBER, POINTER, UNTRIED) \
	/* <prefork/transport.h> */ \
	NUMBER(prefork_socket_end_output, connection, (NULL), -EINVAL) \
	NUMBER(prefork_socket_receive, connection, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_socket_send, connection, (NULL, ANY, 1), -EINVAL) \
	NUMBER(prefork_socket_send_file, connection, (NULL, 1, ANY, 1), -EINVAL) \
	NUMBER(prefork_socket_send_file, offset, (ANY, 1, NULL, 1), -EINVAL) \
	POINTER(prefork_transport_data, connection, (NULL, ANY)) \
	NOTHING(prefork_transport_set_data, connection, (NULL, ANY)) \
	NOTHING(prefork_transport_set_input, connection, (NULL, true)) \
	NOTHING(prefork_transport_set_output, connection, (NULL, 1)) \
	POINTER(prefork_transport_user, connection, (NULL)) \
	NUMBER(prefork_worker_set_transport, worker, (NULL, ANY, ANY), -EINVAL) \
	NUMBER(prefork_worker_set_transport, transport, (ANY, NULL, ANY), -EINVAL) \
	/* <prefork/version.h> */ \
	QUIET(prefork_version, nothing, ()) \
	/* <prefork/worker.h> */ \
	UNTRIED(prefork_forget_in_child) /* it closes the descriptors of the test */ \
	NOTHING(prefork_request_extend, worker, (NULL, 1)) \
	NOTHING(prefork_worker_beat, worker, (NULL)) \
	NOTHING(prefork_worker_busy, worker, (NULL)) \
	NUMBER(prefork_worker_check, worker, (NULL), PREFORK_QUIT) \
	NOTHING(prefork_worker_count_request, worker, (NULL)) \
	NUMBER(prefork_worker_fd, worker, (NULL), -EINVAL) \
	NUMBER(prefork_worker_generation, worker, (NULL), 0) \
	NOTHING(prefork_worker_idle, worker, (NULL)) \
	QUIET(prefork_worker_retire, worker, (NULL)) \
	POINTER(prefork_worker_listener, worker, (NULL, 1)) \
	NUMBER(prefork_worker_listeners, worker, (NULL), 0) \
	POINTER(prefork_worker_log, worker, (NULL)) \
	POINTER(prefork_worker_loop, worker, (NULL)) \
	NOTHING(prefork_worker_set_activity, worker, (NULL, "text", 1)) \
	NOTHING(prefork_worker_set_activity, bytes, (ANY, NULL, 1)) \
	POINTER(prefork_worker_pool, worker, (NULL)) \
	NOTHING(prefork_worker_ready, worker, (NULL)) \
	NUMBER(prefork_worker_set_thread, worker, (NULL, 1), -EINVAL) \
	NOTHING(prefork_worker_set_user, worker, (NULL, NULL)) \
	POINTER(prefork_worker_settings, worker, (NULL)) \
	NUMBER(prefork_worker_slot, worker, (NULL), UINT_MAX) \
	NUMBER(prefork_worker_directive, worker, (NULL), PREFORK_QUIT) \
	NUMBER(prefork_worker_thread, worker, (NULL), UINT_MAX) \
	POINTER(prefork_worker_user, worker, (NULL))

#endif
