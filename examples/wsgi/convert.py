"""What a gunicorn.conf.py says, as a file of prefork-wsgi's (--convert-config)."""
import runpy
import sys

# These mean the same to both.
SAME = """
accesslog access_log_format backlog bind casefold_http_method chdir errorlog forwarded_allow_ips graceful_timeout header_map keepalive
limit_request_field_size limit_request_fields limit_request_line loglevel max_requests max_requests_jitter permit_unconventional_http_method preload_app
proc_name pythonpath raw_env reload reload_extra_files reuse_port secure_scheme_headers threads timeout worker_class worker_connections workers wsgi_app
""".split()

# These are about gunicorn itself: nothing is lost without them.
NEEDLESS = "check_config config default_proc_name print_config reload_engine tmp_upload_dir worker_tmp_dir".split()

# The others that it has, and what to do instead where that can be said in general.
MISSING = {name: "not available in this version" for name in """
asgi_disconnect_grace_period asgi_lifespan asgi_loop ca_certs capture_output cert_reqs certfile ciphers
control_socket control_socket_disable control_socket_mode dirty_apps dirty_graceful_timeout dirty_threads dirty_timeout
dirty_workers disable_redirect_access_to_syslog do_handshake_on_connect dogstatsd_tags enable_backlog_metric
enable_stdio_inheritance forwarder_headers http2_cleartext http2_initial_window_size http2_max_concurrent_streams
http2_max_frame_size http2_max_header_list_size http_parser http_protocols keyfile logconfig logconfig_dict
logconfig_json logger_class paste permit_obsolete_folding
permit_unconventional_http_version protocol proxy_allow_ips proxy_protocol
raw_paste_global_conf root_path sendfile spew ssl_version statsd_host
statsd_prefix strip_header_spaces suppress_ragged_eofs syslog syslog_addr syslog_facility syslog_prefix tolerate_dangerous_framing uwsgi_allow_ips
""".split()}
MISSING.update({
    "daemon": "not available: leave that to systemd, or whoever else supervises the arbiter",
    "group": "not available: start the program in that group (Group= of systemd)",
    "initgroups": "not available: start the program as that user (User= of systemd)",
    "pidfile": "not available: systemd knows the main process by itself (MainPID)",
    "umask": "not available: socket_mode is the mode of a unix socket",
    "user": "not available: start the program as that user (User= of systemd)",
})

HOOKS = """
child_exit dirty_post_fork dirty_worker_exit dirty_worker_init nworkers_changed on_dirty_starting on_exit on_reload
on_starting post_fork post_request post_worker_init pre_exec pre_fork pre_request ssl_context when_ready worker_abort
worker_exit worker_int
""".split()

PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@+-%*=[]")
ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\", ";": r"\x3b"}


def written(text):
    """A text as our files have it: in quotes where it must, and no line longer than they take."""
    if text and set(text) <= PLAIN:
        return text
    pieces, piece = [], ""
    for byte in text:
        piece += ESCAPES.get(byte) or (r"\x%02x" % ord(byte) if byte < " " or byte == "\x7f" else byte)
        if len(piece.encode()) > 100:
            pieces, piece = [*pieces, piece], ""
    return ' \\\n\t'.join(f'"{piece}"' for piece in [*pieces, piece])


def texts(name, value):
    """The values of a setting, each of which gets a line."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, dict):
        return [f"{key}={each}" for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    commas = name in ("bind", "forwarded_allow_ips", "pythonpath")
    return [each.strip() for each in str(value).split(",")] if commas else [str(value)]


def judge(name, value):
    """The lines for one name of the file, and what is to be said of it: None if nothing is."""
    if name in HOOKS and callable(value):
        return [], f"{name}: a hook in Python cannot be called by an arbiter that has none"
    if name == "worker_class" and value not in ("sync", "gthread", "threads", "libev"):
        return [], f"worker_class {value!r}: not available; threads, or libev with threads, serve many clients at a time"
    if name in SAME and value is not None:
        return [f"{name} = {written(text)}" for text in texts(name, value)], None
    if name in MISSING and value:
        return [], f"{name}: {MISSING[name]}"
    return [], None


def convert(path):
    """Print the file, and tell on standard error what is not in it; how much that is."""
    said = runpy.run_path(path, run_name="__config__")
    lines, notes = ["[prefork]"], []
    for name, value in said.items():
        more, note = judge(name, value)
        lines += more + ([f"# {note}"] if note else [])
        notes += [note] if note else []
    print("\n".join(lines), flush=True)
    for note in notes:
        print(f"{path}: {note}", file=sys.stderr, flush=True)
    return len(notes)
