"""An API server of its own, behind the cluster's: the group clocks.example.com with the time in a few cities.

Nothing is stored: each Clock is made when it is asked for. Standard library only. It answers what a client of any group
asks: discovery, list, get. The cluster's API server checks who asks, and tells us in X-Remote-User.
"""

import http.server
import json
import ssl
import time

GROUP, VERSION = "clocks.example.com", "v1"
CITIES = {"berlin": 1, "seoul": 9, "lima": -5}
KINDS = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/{VERSION}",
    "resources": [
        {"name": "clocks", "singularName": "clock", "namespaced": False, "kind": "Clock", "verbs": ["get", "list"]}
    ],
}


def clock(city: str) -> dict:
    """A Clock."""
    now = time.gmtime(time.time() + CITIES[city] * 3600)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Clock",
        "metadata": {"name": city},
        "time": time.strftime("%H:%M", now),
    }


def answer(path: str, user: str) -> tuple[int, dict]:
    """What is at a path."""
    base = f"/apis/{GROUP}"
    if path == "/apis":
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}
    if path == base:
        return 200, {"apiVersion": "v1", **group()}
    if path == f"{base}/{VERSION}":
        return 200, KINDS
    if path == f"{base}/{VERSION}/clocks":
        print(f"{user} looks at all clocks", flush=True)
        items = [clock(city) for city in CITIES]
        return 200, {"apiVersion": f"{GROUP}/{VERSION}", "kind": "ClockList", "metadata": {}, "items": items}
    city = path.removeprefix(f"{base}/{VERSION}/clocks/")
    if city in CITIES:
        return 200, clock(city)
    text = f'clocks.{GROUP} "{city}" not found'
    details = {"name": city, "group": GROUP, "kind": "clocks"}
    return 404, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": text,
                 "reason": "NotFound", "details": details, "code": 404}  # fmt: skip


def group() -> dict:
    """The APIGroup."""
    version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    return {"kind": "APIGroup", "name": GROUP, "versions": [version], "preferredVersion": version}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GETs as JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, document = answer(self.path.partition("?")[0].rstrip("/"), self.headers.get("X-Remote-User", "nobody"))
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile="/front-proxy/requestheader-client-ca-file")
context.verify_mode = ssl.CERT_REQUIRED  # nobody but the cluster's API server may say who asks
context.load_cert_chain("/certs/tls.crt", "/certs/tls.key")
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
