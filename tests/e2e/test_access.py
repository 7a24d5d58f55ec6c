"""People who come in by an identity provider, a token file or a webhook, and who ask a webhook what they may do."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from kijabi.base import clock
from kijabi.client.kubeconfig import Identity, save
from tests.apiserver.hookserver import Authority
from tests.e2e.conftest import LOGS
from tests.e2e.traces import Traces
from tests.e2e.world import Cluster, eventually

pytestmark = pytest.mark.e2e

PORT = 17446
Both = tuple[Cluster, "Outside"]
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Outside(ThreadingHTTPServer):
    """What stands outside of the cluster: an identity provider, and the webhooks of tokens and permissions."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authority = Authority()
        self.reviews: list[dict[str, Any]] = []
        self.dead = False
        context: ssl.SSLContext = self.authority.server(folder, "localhost")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://localhost:{self.server_port}"
        self.ca = folder / "outside-ca.pem"
        self.ca.write_bytes(self.authority.pem)

    def token(self, **claims: Any) -> str:
        """Of the identity provider."""
        full = {"iss": self.url, "aud": "kijabi", "exp": int(clock.wall()) + 600, **claims}
        return jwt.encode(full, KEY, algorithm="RS256", headers={"kid": "k"})

    def kubeconfig(self, folder: Path, path: str) -> Path:
        """What leads the API server to a webhook."""
        file = folder / f"{path}.kubeconfig"
        identity = Identity(server=f"{self.url}/{path}", ca=self.authority.pem.decode())
        save(file, identity, user="apiserver")
        return file


class _Handler(BaseHTTPRequestHandler):
    server: Outside
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        if self.path == "/keys":
            public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
            return self._answer({"keys": [{**public, "kid": "k"}]})
        return self._answer({"issuer": self.server.url, "jwks_uri": f"{self.server.url}/keys"})

    def do_POST(self) -> None:
        if self.server.dead:
            self.close_connection = True
            return None
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        spec = review["spec"]
        if review["kind"] == "TokenReview":
            known = spec["token"] == "hooked"
            status = {"authenticated": known, "user": {"username": "hook", "groups": ["outside"]} if known else {}}
        else:
            self.server.reviews.append(spec)
            asked = spec.get("resourceAttributes", {})
            denied = asked.get("resource") == "secrets"
            allowed = not denied and "outside" in spec.get("groups", ())
            status = {"allowed": allowed, "denied": denied, "reason": "the webhook says so"}
        return self._answer({"apiVersion": review["apiVersion"], "kind": review["kind"], "status": status})

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def outside(folder: Path) -> Iterator[Outside]:
    server = Outside(folder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A cluster that knows all of these."""
    folder = tmp_path_factory.mktemp("outside")
    directory = Path(tempfile.mkdtemp(prefix="kijabi-access-"))
    running = Cluster(directory, PORT)
    tokens = folder / "tokens.csv"
    tokens.write_text('static-secret,ann,7,"team,ops"\n')
    before = Traces.of_machine(directory)
    with outside(folder) as server:
        authorization = {
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
            "authorizers": [
                {"type": "Node", "name": "node"},
                {"type": "Webhook", "name": "outside", "webhook": {
                    "timeout": "3s", "subjectAccessReviewVersion": "v1", "failurePolicy": "Deny",
                    "matchConditionSubjectAccessReviewVersion": "v1",
                    "matchConditions": [{"expression": "!request.user.startsWith('system:')"}],
                    "connectionInfo": {
                        "type": "KubeConfigFile", "kubeConfigFile": str(server.kubeconfig(folder, "authorize")),
                    },
                }},
                {"type": "RBAC", "name": "rbac"},
            ],
        }  # fmt: skip
        (folder / "authorization.json").write_text(json.dumps(authorization))
        given = {
            "token-auth-file": tokens,
            "oidc-issuer-url": server.url, "oidc-client-id": "kijabi", "oidc-ca-file": server.ca,
            "oidc-username-prefix": "oidc:", "oidc-groups-claim": "groups",
            "authentication-token-webhook-config-file": server.kubeconfig(folder, "authenticate"),
            "authentication-token-webhook-version": "v1",
            "authorization-config": folder / "authorization.json",
        }  # fmt: skip
        arguments = [word for name, value in given.items() for word in ("--apiserver-arg", f"{name}={value}")]
        try:
            running.kijabi("up", "--port", str(PORT), "--runtime", "fake", *arguments)
            yield running, server
        finally:
            if request.session.testsfailed:
                running.save_logs(LOGS)
            running.kijabi("down", "--purge")
            left = Traces.of_machine(directory) - before
            shutil.rmtree(directory, ignore_errors=True)
    assert not left, f"the cluster left behind: {left}"


def whoami(cluster: Cluster, token: str) -> dict[str, Any]:
    """`kubectl auth whoami` with a token alone."""
    done = as_bearer(cluster, token, "auth", "whoami", "-o", "json")
    assert done[0] == 0, done[1]
    found: dict[str, Any] = json.loads(done[1])["status"]["userInfo"]
    return found


def as_bearer(cluster: Cluster, token: str, *arguments: str) -> tuple[int, str]:
    """kubectl with a token and without the administrator's certificate."""
    ca = cluster.directory / "pki" / "ca.crt"
    server = f"https://127.0.0.1:{cluster.port}"
    line = ("--kubeconfig=/dev/null", f"--server={server}", f"--certificate-authority={ca}", f"--token={token}")
    done = cluster.try_kubectl(*line, *arguments)
    return done.returncode, (done.stdout + done.stderr).strip()


def test_everybody_is_known_by_his_token(there: Both) -> None:
    cluster, server = there
    user = whoami(cluster, "static-secret")
    assert (user["username"], user["uid"], user["groups"]) == ("ann", "7", ["team", "ops", "system:authenticated"])
    token = server.token(sub="jane", groups=["dev"])
    user = eventually(lambda: whoami(cluster, token) if as_bearer(cluster, token, "version")[0] == 0 else None)
    assert (user["username"], user["groups"]) == ("oidc:jane", ["dev", "system:authenticated"])
    assert whoami(cluster, "hooked")["username"] == "hook"
    code, said = as_bearer(cluster, server.token(sub="jane", aud="other"), "get", "pods")
    assert code != 0
    assert "You must be logged in to the server" in said


def test_a_webhook_and_rbac_decide_together(there: Both) -> None:
    cluster, server = there
    jane = server.token(sub="jane", groups=["dev"])
    code, said = as_bearer(cluster, jane, "get", "pods")
    assert code == 1
    assert said == (
        'Error from server (Forbidden): pods is forbidden: User "oidc:jane" cannot list resource "pods" in API '
        'group "" in the namespace "default": the webhook says so'
    )
    cluster.kubectl("create", "clusterrolebinding", "dev", "--clusterrole=admin", "--group=dev")
    assert eventually(lambda: as_bearer(cluster, jane, "get", "pods")[0] == 0)
    assert as_bearer(cluster, jane, "auth", "can-i", "get", "secrets")[1] == "no - the webhook says so"
    assert as_bearer(cluster, jane, "auth", "can-i", "delete", "pods")[1] == "yes"
    assert as_bearer(cluster, "hooked", "get", "nodes")[0] == 0, "the webhook allows it"
    code, listed = as_bearer(cluster, jane, "auth", "can-i", "--list")
    assert code == 0
    assert "Warning: the list may be incomplete: webhook authorizer does not support user rule resolution" in listed
    assert any(line.startswith("pods ") and "[create delete" in line for line in listed.splitlines())
    assert not any(spec["user"].startswith("system:") for spec in server.reviews), "the condition keeps these away"


def test_a_secret_of_the_token_type_is_filled_in(there: Both) -> None:
    cluster, _ = there
    cluster.kubectl("create", "serviceaccount", "robot")
    secret = {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "robot", "annotations": {"kubernetes.io/service-account.name": "robot"}},
    }  # fmt: skip
    cluster.kubectl("apply", "-f", "-", text=json.dumps(secret))
    token = base64.b64decode(eventually(lambda: cluster.get("secret", "robot").get("data", {}).get("token"))).decode()
    assert whoami(cluster, token)["username"] == "system:serviceaccount:default:robot"
    label = "kubernetes.io/legacy-token-last-used"
    assert eventually(lambda: cluster.get("secret", "robot")["metadata"].get("labels", {}).get(label))
    cluster.kubectl("delete", "serviceaccount", "robot")
    assert eventually(lambda: cluster.try_kubectl("get", "secret", "robot").returncode == 1)
    assert as_bearer(cluster, token, "get", "pods")[0] == 1


def test_a_dead_webhook_refuses_whom_it_decides_about_and_nobody_else(there: Both) -> None:
    cluster, server = there
    server.dead = True
    code, said = as_bearer(cluster, "static-secret", "get", "configmaps")
    assert code == 1
    assert "Internal Server Error" in said
    cluster.kubectl("get", "pods")
    cluster.kubectl("get", "nodes", "--as=system:serviceaccount:kube-system:x", "--as-group=system:masters")
