"""What the tests of clients share: a client as a process whose lines are read as they come, and the trials of it.

A trial is what every client of its kind must pass, whatever it is written in: `elects` for those that hold elections,
`outlives` for those that watch. Both take a function that starts the client.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.test_pods import one
from tests.e2e.world import PATIENCE, Cluster, Namespace

HERE = Path(__file__).parent


class Running:
    """A client in the background. lines: what it has printed so far, complaints among it."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path | None = None) -> None:
        self.lines: list[str] = []
        self._arrived: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            command, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arrived.put(line.rstrip("\n"))
        self._arrived.put(None)

    def until(self, pattern: str, *, seconds: float = PATIENCE) -> re.Match[str]:
        """Read on to the next line that matches; AssertionError with all lines if it ends or stays silent before."""
        while True:
            try:
                line = self._arrived.get(timeout=seconds)
            except queue.Empty:
                raise AssertionError(f"no line like {pattern!r} in {seconds:g} s:\n{self.text}") from None
            if line is None:
                self._arrived.put(None)  # for `stop`
                raise AssertionError(f"it ended before a line like {pattern!r}:\n{self.text}")
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and read what it still said; killed where it does not listen."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        while (line := self._arrived.get()) is not None:
            self.lines.append(line)
        self._arrived.put(None)
        print(self.text)  # for the report of a test that failed


@contextmanager
def running(
    command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path | None = None
) -> Iterator[Running]:
    client = Running(command, environment, cwd)
    try:
        yield client
    finally:
        client.stop()


def output(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    text: str | None = None,
    cwd: Path | None = None,
    seconds: float = PATIENCE,
) -> str:
    """Run a client to its end and give what it printed; AssertionError with its complaint if it failed."""
    done = subprocess.run(
        command, env=environment, input=text, cwd=cwd, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, f"{[str(word) for word in command]}:\n{done.stdout}{done.stderr}"
    return done.stdout


def elects(candidate: Callable[[str], Running], led: str = "{} leads") -> None:
    """Of two candidates one leads; when it is killed, the other takes over, and not before.

    led: the line that says so, with the candidate's name for `{}`.
    """
    first = candidate("first")
    second = None
    try:
        first.until(led.format("first"))
        second = candidate("second")
        second.until("second sees first|waiting|(?i:attempting to acquire)")
        first.stop(signal.SIGKILL)
        assert led.format("second") not in second.text
        second.until(led.format("second"))
    finally:
        first.stop()
        if second is not None:
            second.stop()


def outlives(namespace: Namespace, informer: Callable[[], Running]) -> None:
    """A client that watches ConfigMaps goes on after the API server was killed, and sees each object once.

    The server is killed twice. The first time the client most likely goes on where it was; the second time it cannot:
    something else was written before, so that the new server's history begins later (410), and it has to list again.
    It prints `synced` once it knows what there is, then `add NAME`, `update NAME …` and `delete NAME`.
    """
    namespace.kubectl("create", "configmap", "before")
    client = informer()
    try:
        client.until("synced")
        namespace.kubectl("create", "configmap", "during")
        client.until("add during$")
        namespace.cluster.kill("apiserver")
        namespace.kubectl("create", "configmap", "after")
        namespace.kubectl("patch", "configmap", "before", "--patch", '{"data": {"seen": "yes"}}')
        client.until("add after$")
        client.until("update before.*seen")
        namespace.kubectl("create", "secret", "generic", "elsewhere")
        namespace.cluster.kill("apiserver")
        namespace.kubectl("create", "configmap", "later")
        client.until("add later$")
        namespace.kubectl("delete", "secret", "elsewhere")
        namespace.kubectl("delete", "configmap", "before", "during", "after", "later")
        for _ in range(4):
            client.until(r"delete .*(before|during|after|later)\b")
    finally:
        client.stop()
    for name in ("before", "during", "after", "later"):
        assert client.text.count(f"add {name}") == 1, client.text


def told(first: str, last: str) -> dict[str, Any]:
    """The spec of a pod that does the first thing, waits for /tmp/go, does the last and ends."""
    return one(f"{first}; until [ -e /tmp/go ]; do sleep 0.1; done; {last}") | {"restartPolicy": "Never"}


def served(text: str) -> dict[str, Any]:
    """The spec of a pod that answers a line of text over HTTP at port 8000; it is ready when it does."""
    ready = {"tcpSocket": {"port": 8000}, "periodSeconds": 1}
    line = f"cd /tmp; echo {text} > index.html; python3 -m http.server 8000"
    return one(line, image="python:3.11", readinessProbe=ready)


def follows(namespace: Namespace, pod: str, follower: Callable[[str], Running]) -> None:
    """A client that follows a log of `told` prints each line as it comes, and ends with the pod."""
    client = follower(pod)
    try:
        client.until("log first")
        namespace.exec(pod, "touch", "/tmp/go")
        client.until("log last")
        assert client.process.wait(PATIENCE) == 0
    finally:
        client.stop()


Rules = Sequence[Mapping[str, Any]]


def account(namespace: Namespace, name: str, rules: Rules, everywhere: Rules = ()) -> Path:
    """A kubeconfig for a service account that may do what the rules say, in its namespace and everywhere."""
    namespace.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    allow(namespace, name, "Role", name, rules)
    if everywhere:
        allow(namespace, name, "ClusterRole", f"{namespace.name}-{name}", everywhere)
    token = namespace.kubectl("create", "token", name, "--duration=1h").strip()
    cluster = namespace.cluster
    described = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    described["users"] = [{"name": name, "user": {"token": token}}]
    described["contexts"][0]["context"] |= {"user": name, "namespace": namespace.name}
    authority = described["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(authority).startswith(b"-----BEGIN CERTIFICATE")
    path = cluster.directory / f"{namespace.name}-{name}.kubeconfig"
    path.write_text(json.dumps(described))
    path.chmod(0o600)
    return path


def allow(namespace: Namespace, account: str, kind: str, name: str, rules: Rules) -> None:
    """A Role or ClusterRole for a service account."""
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    namespace.apply(
        {**rbac, "kind": kind, "rules": list(rules)},
        {**rbac, "kind": f"{kind}Binding", "roleRef": role, "subjects": [subject]},
    )


def as_account(cluster: Cluster, kubeconfig: Path, **more: str) -> dict[str, str]:
    """The environment in which a client finds only that account."""
    return {**os.environ, "HOME": str(cluster.directory), "KUBECONFIG": str(kubeconfig), **more}


# What the small operators in this folder need: their resource, what they make, an election, events.
OPERATOR_RULES = (
    {"apiGroups": ["kijabi.example"], "resources": ["websites", "websites/status"], "verbs": ["*"]},
    {"apiGroups": ["kijabi.example"], "resources": ["websites/finalizers"], "verbs": ["update"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch", "create", "patch"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
    {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
)


def website(name: str, text: str, replicas: int = 1) -> dict[str, Any]:
    """A custom resource of the small operators."""
    spec = {"replicas": replicas, "text": text}
    return {"apiVersion": "kijabi.example/v1", "kind": "Website", "metadata": {"name": name}, "spec": spec}


def operates(namespace: Namespace) -> None:
    """A running operator makes what a Website wants, tells its state, keeps up with changes and says farewell."""
    namespace.apply(website("home", "hello"))
    namespace.kubectl("wait", "website/home", "--for=jsonpath={.status.ready}=1", "--timeout=60s")
    owner = namespace.get("deployment", "home")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Website", "home", True)
    assert namespace.kubectl("logs", "deployment/home") == "hello\n"
    refused = namespace.fails("patch", "website", "home", "--type=merge", "-p", '{"spec": {"replicas": 6}}')
    assert "spec.replicas: Invalid value" in refused
    namespace.kubectl("scale", "website/home", "--replicas=2")
    namespace.kubectl("wait", "website/home", "--for=jsonpath={.status.ready}=2", "--timeout=60s")
    wanted, ready = namespace.kubectl("get", "web", "home", "--no-headers").split()[1:3]
    assert (wanted, ready) == ("2", "2")
    namespace.kubectl("delete", "website", "home", "--timeout=60s")
    assert namespace.field("configmap/home-farewell", "{.data.text}") == "hello"
    namespace.kubectl("wait", "deployment/home", "--for=delete", "--timeout=60s")
    namespace.kubectl("delete", "configmap", "home-farewell")
