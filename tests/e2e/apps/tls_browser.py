"""A page whose script asks this server several times and shows what it has got, as JSON."""
import json
import threading

BOTH = threading.Barrier(2)
# The icon has no bytes to fetch: its request would take one of the connections.
PAGE = b"""<!DOCTYPE html><link rel="icon" href="data:,"><body><script>
(async () => {
    const seen = [];
    for (const path of ["/info", "/large", "/echo", "/info"]) {
        const options = path === "/echo" ? { method: "POST", body: "x".repeat(100000) } : {};
        const response = await fetch(path, options);
        seen.push(path === "/large" ? (await response.arrayBuffer()).byteLength : await response.json());
    }
    // At the same time: a second connection is made.
    seen.push(...await Promise.all(["/info?1", "/info?2"].map(path => fetch(path).then(response => response.json()))));
    document.body.textContent = JSON.stringify(seen);
})().catch(error => { document.body.textContent = "" + error; });
</script>
"""


def app(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/html" if path == "/" else "application/json")])
    if path == "/":
        return [PAGE]
    if environ["QUERY_STRING"]:
        BOTH.wait(60)  # else one connection could serve both
    if path == "/large":
        return [b"0123456789" * 10_000]
    names = ("REMOTE_PORT", "SSL_PROTOCOL", "SSL_SESSION_RESUMED", "SSL_TLS_SNI", "wsgi.url_scheme", "SERVER_PROTOCOL")
    return [json.dumps({"size": len(environ["wsgi.input"].read()), **{name: environ.get(name) for name in names}}).encode()]
