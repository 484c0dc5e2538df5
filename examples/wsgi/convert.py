"""Convert a gunicorn.conf.py to a configuration file of prefork-wsgi (--convert-config)."""
import ast
import runpy
import sys
import textwrap

# Settings with the same meaning in both.
SAME = """
accesslog access_log_format backlog bind ca_certs capture_output casefold_http_method cert_reqs certfile chdir ciphers daemon enable_stdio_inheritance errorlog forwarded_allow_ips graceful_timeout group header_map initgroups keepalive keyfile
limit_request_field_size limit_request_fields limit_request_line loglevel max_requests max_requests_jitter permit_unconventional_http_method preload_app
pidfile proc_name protocol proxy_allow_ips proxy_protocol pythonpath raw_env reload reload_extra_files reuse_port secure_scheme_headers
syslog syslog_addr syslog_facility syslog_prefix disable_redirect_access_to_syslog threads timeout umask user uwsgi_allow_ips worker_class worker_connections workers wsgi_app
""".split()

# Settings without an effect on the service: dropped silently.
NEEDLESS = """check_config config default_proc_name do_handshake_on_connect print_config reload_engine ssl_version
suppress_ragged_eofs tmp_upload_dir""".split()

# Settings without a counterpart, and the remedy if there is a general one.
MISSING = {name: "not available in this version" for name in """
asgi_disconnect_grace_period asgi_lifespan asgi_loop
control_socket control_socket_disable control_socket_mode dirty_apps dirty_graceful_timeout dirty_threads dirty_timeout
dirty_workers dogstatsd_tags enable_backlog_metric
forwarder_headers http2_cleartext http2_initial_window_size http2_max_concurrent_streams
http2_max_frame_size http2_max_header_list_size http_parser http_protocols logconfig logconfig_dict
logconfig_json logger_class paste permit_obsolete_folding
permit_unconventional_http_version
raw_paste_global_conf root_path spew statsd_host
statsd_prefix strip_header_spaces tolerate_dangerous_framing
""".split()}

# Dropped without loss, but with a remark.
REMARKS = {"worker_tmp_dir": "dropped: in gunicorn it is the directory of heartbeat files, which do not exist here; the setting "
                             "of that name here is the directory of large bodies"}

# Settings whose value False has no counterpart.
ON = {"sendfile": "not available: files are always sent by sendfile(2)"}

CLASSES = {"gunicorn.workers.sync.SyncWorker": "sync", "gunicorn.workers.gthread.ThreadWorker": "gthread",
           "gunicorn.workers.ggevent.GeventWorker": "gevent", "gunicorn.workers.ggevent.GeventPyWSGIWorker": "gevent",
           "gunicorn.workers.geventlet.EventletWorker": "eventlet", "gunicorn.workers.gtornado.TornadoWorker": "tornado"}

# Functions and variables whose values depend on the machine and its environment.
SOURCES = {"cpu_count", "process_cpu_count", "sched_getaffinity", "environ", "getenv", "gethostname", "getfqdn"}

HOOKS = """
child_exit dirty_post_fork dirty_worker_exit dirty_worker_init nworkers_changed on_dirty_starting on_exit on_reload
on_starting post_fork post_request post_worker_init pre_exec pre_fork pre_request ssl_context when_ready worker_abort
worker_exit worker_int
""".split()

PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@+-%*=[]")
ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\", ";": r"\x3b"}


def written(text):
    """Quote a value for a configuration file if necessary; split it into lines within the limit."""
    if text and set(text) <= PLAIN and len(text) <= 100:
        return text
    pieces, piece = [], ""
    for byte in text:
        piece += ESCAPES.get(byte) or (r"\x%02x" % ord(byte) if byte < " " or byte == "\x7f" else byte)
        if len(piece.encode()) > 100:
            pieces, piece = [*pieces, piece], ""
    return ' \\\n\t'.join(f'"{piece}"' for piece in [*pieces, piece])


def texts(name, value):
    """The values of a setting, one per line."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if name == "umask" and isinstance(value, int):
        return [f"0{value:o}"]
    if isinstance(value, dict):
        return [f"{key}={each}" for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    commas = name in ("bind", "forwarded_allow_ips", "proxy_allow_ips", "pythonpath", "uwsgi_allow_ips")
    return [each.strip() for each in str(value).split(",")] if commas else [str(value)]


def same(name, value, accepts):
    """The lines of a setting with the same meaning, and a note for each value that is not accepted."""
    lines, notes = [], []
    for text in texts(name, value):
        refusal = accepts(name, text)
        if refusal:
            notes.append(f"{name}: {refusal}")
        else:
            lines.append(f"{name} = {written(text)}")
    return lines, notes


def judge(name, value, said, accepts):
    """The lines for one name of the file, and notes about what has no counterpart."""
    if name in HOOKS and value is not None and not isinstance(value, (bool, int)):
        return [], [f"{name}: hooks in Python are not available: the arbiter does not run Python"]
    if name == "worker_class":
        value = CLASSES.get(value, value) if isinstance(value, str) else value
        if value == "sync" and str(said.get("threads", 1)) not in ("0", "1"):
            value = "gthread"  # as gunicorn does
        if value not in ("sync", "gthread", "threads", "libev", "eventlet", "gevent", "gevent_wsgi", "gevent_pywsgi", "tornado"):
            return [], [f"worker_class {value!r}: not available; threads, or libev with threads, serve many connections at a time"]
    if name == "loglevel" and isinstance(value, str):
        value = value.lower()
    if name in SAME and value is not None:
        return same(name, value, accepts)
    if name in MISSING and value or name in ON and value is False:
        return [], [f"{name}: {MISSING.get(name) or ON[name]}"]
    return [], []


def is_source(node):
    name = getattr(node, "attr", None) if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    return name in SOURCES


def causes(node, known):
    """The uses of SOURCES in a node of the program, directly or through a name that depends on them."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and is_source(each.func) or isinstance(each, ast.Subscript) and is_source(each.value):
            found.add(ast.unparse(each))
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and is_source(each.func.value):
            found.add(ast.unparse(each))  # os.environ.get("X")
        elif isinstance(each, ast.Name):
            found |= known.get(each.id, set())
    return found


def frozen(tree):
    """For each name that the file assigns, the uses of SOURCES that its value depends on."""
    known = {}

    def follow(statements, around):
        for statement in statements:
            inner = [part for part in ("body", "orelse", "finalbody", "handlers") if isinstance(getattr(statement, part, None), list)]
            if isinstance(statement, (ast.FunctionDef, ast.Lambda, ast.ClassDef)) or not inner:
                reasons = causes(statement, known) | around
                names = [statement.name] if hasattr(statement, "name") and isinstance(statement.name, str) else []
                names += [each.id for each in ast.walk(statement) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
                for name in names if reasons else []:
                    known[name] = known.get(name, set()) | reasons
                continue
            condition = getattr(statement, "test", None) or getattr(statement, "iter", None)
            more = around | (causes(condition, known) if condition else set())
            for part in inner:
                follow(getattr(statement, part), more)

    follow(tree.body, set())
    return known


def comment(text):
    return textwrap.wrap(" ".join(text.split()), 150, initial_indent="# ", subsequent_indent="#   ", break_long_words=True)


def convert(path, accepts):
    """Print the converted file, and notes on standard error. Return the number of settings without a counterpart."""
    said = runpy.run_path(path, run_name="__config__")
    with open(path, "rb") as file:
        reasons = frozen(ast.parse(file.read()))
    lines, notes, remarks = ["[prefork]"], [], []
    for name, value in said.items():
        more, without = judge(name, value, said, accepts)
        remark = f"{name}: {REMARKS[name]}" if name in REMARKS and value else None
        if more and reasons.get(name):
            remark = f"{name}: value on this machine, from {', '.join(sorted(reasons[name]))}"
        if remark:
            remarks.append(remark)
            lines += comment(remark)
        for note in without:
            lines += comment(note)
        lines += more
        notes += without
    print("\n".join(lines), flush=True)
    for note in notes + remarks:
        print(f"{path}: {note}", file=sys.stderr, flush=True)
    return len(notes)
