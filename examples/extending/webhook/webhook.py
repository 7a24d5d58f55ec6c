"""A mutating webhook: every pod of the namespace gets the label of the day's shift. Standard library only."""

import base64
import http.server
import json
import ssl
import time


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers AdmissionReviews (admission.k8s.io/v1)."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pod = review["request"]["object"]
        shift = "day" if 8 <= time.gmtime().tm_hour < 20 else "night"
        labels = pod["metadata"].get("labels", {})
        patch = [{"op": "add", "path": "/metadata/labels", "value": {**labels, "shift": shift}}]
        response = {
            "uid": review["request"]["uid"],
            "allowed": labels.get("shift") != "none",
            "status": {"message": "somebody must be there"},
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        if not response["allowed"]:
            response = {key: response[key] for key in ("uid", "allowed", "status")}
        answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("/certs/tls.crt", "/certs/tls.key")
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
