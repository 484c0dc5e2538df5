"""Proxies that forward connections: HAProxy, and nginx with its stream module."""
import contextlib
import os
import pathlib
import socket
import subprocess

import harness
from harness_processes import PATIENCE, need_program, start_time, tree, wait_until
from harness_server import Nginx, free_port

STREAM_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def make_certificate(directory):
    """A file with a key and a certificate for localhost that is its own CA, and its client certificate."""
    path = directory / "proxy.pem"
    done = subprocess.run([need_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                           "-nodes", "-days", "2", "-subj", "/CN=client.example", "-addext", "subjectAltName=DNS:localhost",
                           "-keyout", directory / "key", "-out", directory / "certificate"], capture_output=True)
    assert done.returncode == 0, done.stderr
    path.write_bytes((directory / "key").read_bytes() + (directory / "certificate").read_bytes())
    return path


class Haproxy:
    """HAProxy with one TCP frontend per item of `ways`: a name, and the options of its server line. `bind` has the
    options of the frontend, `mode` its mode, by name. The frontend NAME listens at ports[NAME]."""

    def __init__(self, directory, server, ways, bind=None, mode=None):
        self.program, self.directory, self.process = need_program("haproxy"), directory, None
        self.ports, self.host = {name: free_port() for name in ways}, "127.0.0.1"
        self.control = directory / "haproxy.sock"
        upstream = f"unix@{server.path}" if server.path else f"{server.host}:{server.port}"
        text = f"""
global
    stats socket {self.control} level admin
    maxconn 1000
defaults
    timeout connect 20s
    timeout client 60s
    timeout server 60s
"""
        for name, options in ways.items():
            text += f"""
listen {name}
    mode {(mode or {}).get(name, "tcp")}
    bind {self.host}:{self.ports[name]} {(bind or {}).get(name, "")}
    {"http-request set-header X-Forwarded-Proto https" if name == "http" else ""}
    server prefork {upstream} {options}
"""
        (directory / "haproxy.cfg").write_text(text)

    def __enter__(self):
        log = (self.directory / "haproxy.log").open("w")
        self.process = subprocess.Popen([self.program, "-db", "-f", self.directory / "haproxy.cfg"],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_until(self.is_listening, "HAProxy listens")
        return self

    def __exit__(self, *rest):
        processes = tree(self.process.pid)
        self.process.kill()
        self.process.wait(10 * PATIENCE)
        wait_until(lambda: not any(map(start_time, processes)), "HAProxy has exited")

    def is_listening(self):
        if self.process.poll() is not None:
            raise AssertionError((self.directory / "haproxy.log").read_text())
        return self.control.exists() and "prefork" in self.ask("show stat")

    def ask(self, command):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(5 * PATIENCE)
            asked.connect(str(self.control))
            asked.sendall(command.encode() + b"\n")
            text = b""
            while part := asked.recv(65536):
                text += part
            return text.decode()
        return ""

    def checks(self, way):
        """The status of the health check of a server, for example "L4OK"."""
        lines = [line.split(",") for line in self.ask("show stat").splitlines() if line]
        at = lines[0].index("check_status")
        return next(line[at] for line in lines if line[0] == f"{way}" and line[1] == "prefork")


class StreamNginx(Nginx):
    """nginx that forwards connections, and sends a PROXY header of version 1."""

    def __init__(self, directory, upstream):
        super().__init__(directory, upstream)
        if not STREAM_MODULE.exists():
            raise harness.unittest.SkipTest("no stream module of nginx on this machine")
        user = "user root;" if os.getuid() == 0 else ""
        (directory / "nginx.conf").write_text(f"""
            load_module {STREAM_MODULE};
            {user} worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
            events {{ worker_connections 512; }}
            stream {{
                server {{ listen {self.host}:{self.port}; proxy_pass {upstream}; proxy_protocol on; }}
            }}""")


class UwsgiNginx(Nginx):
    """nginx that speaks HTTP with its clients, and uwsgi with the server. `location` is added to its location."""

    def __init__(self, directory, upstream, location=""):
        super().__init__(directory, upstream)
        user = "user root;" if os.getuid() == 0 else ""
        temporary = "".join(f"{name}_temp_path {directory}/{name};" for name in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        variables = "".join(f"uwsgi_param {name} {value};" for name, value in (
            ("QUERY_STRING", "$query_string"), ("REQUEST_METHOD", "$request_method"), ("CONTENT_TYPE", "$content_type"),
            ("CONTENT_LENGTH", "$content_length"), ("REQUEST_URI", "$request_uri"), ("PATH_INFO", "$document_uri"),
            ("DOCUMENT_ROOT", "$document_root"), ("SERVER_PROTOCOL", "$server_protocol"),
            ("REQUEST_SCHEME", "$scheme"), ("HTTPS", "$https if_not_empty"), ("REMOTE_ADDR", "$remote_addr"),
            ("REMOTE_PORT", "$remote_port"), ("SERVER_PORT", "$server_port"), ("SERVER_NAME", "$server_name")))
        (directory / "nginx.conf").write_text(f"""
            {user} worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
            events {{ worker_connections 512; }}
            http {{
                access_log off; client_max_body_size 0; {temporary}
                server {{
                    listen {self.host}:{self.port};
                    location / {{ {variables} {location} uwsgi_pass {upstream}; }}
                }}
            }}""")
