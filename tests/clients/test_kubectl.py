"""kubectl of three ages: Debian's 1.20, the machine's own, and the one of the version that we speak, built from source.

Between the first and the last it changed what it sends (JSON, protobuf), how it streams (SPDY, WebSockets), who applies
(itself, the server) and where it finds descriptions (OpenAPI v2, v3). Each does the same here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.world import Running, output, served, told
from tests.e2e.test_pods import one
from tests.e2e.world import Namespace, eventually

pytestmark = pytest.mark.clients

Make = Callable[..., str]


class Kubectl:
    """One kubectl for a namespace. minor: its version."""

    def __init__(self, program: Path, namespace: Namespace) -> None:
        self.command = [program, "-n", namespace.name]
        self.environment = namespace.cluster.environment
        version = json.loads(output([program, "version", "--client", "-o", "json"], self.environment))
        self.minor = int(re.sub(r"\D", "", version["clientVersion"]["minor"]))

    def __call__(self, *arguments: str, text: str | None = None) -> str:
        return output([*self.command, *arguments], self.environment, text=text)

    def tries(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        line = [*self.command, *arguments]
        return subprocess.run(line, env=self.environment, input=text, capture_output=True, text=True, timeout=90)

    def fails(self, *arguments: str, text: str | None = None) -> str:
        """What it complains of."""
        done = self.tries(*arguments, text=text)
        assert done.returncode != 0, done.stdout
        return done.stderr.strip()

    def start(self, *arguments: str) -> Running:
        return Running([*self.command, *arguments], self.environment)


@pytest.fixture(
    scope="module",
    params=["old_kubectl", "own_kubectl", pytest.param("newest_kubectl", marks=pytest.mark.built)],
)
def kubectl(request: pytest.FixtureRequest, namespace: Namespace) -> Kubectl:
    return Kubectl(request.getfixturevalue(request.param), namespace)


@pytest.fixture(scope="session")
def own_kubectl() -> Path:
    found = shutil.which("kubectl")
    assert found is not None, "kijabi doctor says where to get it"
    return Path(found)


def deployment(name: str, **spec: Any) -> str:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": one("sleep infinity")}
    whole = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **spec}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": whole})


@pytest.mark.built
def test_the_newest_is_of_the_version_that_we_speak(newest_kubectl: Path, namespace: Namespace) -> None:
    newest = Kubectl(newest_kubectl, namespace)
    assert newest.minor == 37
    assert "WARNING" not in newest("version")


def test_deployments_are_made_scaled_rolled_out_undone_and_deleted(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=busybox:1.35", "--", "sh", "-c", "echo from web; sleep infinity")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("scale", "deployment", "web", "--replicas=2")
    eventually(lambda: kubectl("get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}") == "2")
    assert re.search(r"^web +2/2 ", kubectl("get", "deployments"), re.MULTILINE)
    assert "node-1" in kubectl("get", "pods", "-o", "wide")
    assert "StrategyType" in kubectl("describe", "deployment", "web")
    assert kubectl("logs", "deployment/web").endswith("from web\n")
    kubectl("set", "env", "deployment/web", "A=b")
    kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    assert len(kubectl("rollout", "history", "deployment/web").strip().splitlines()) == 4
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env}") == ""
    pod = kubectl("get", "pods", "-l", "app=web", "-o", "name").split()[0]
    assert "Started" in kubectl("describe", pod)
    kubectl("label", pod, "seen=yes")
    kubectl("annotate", pod, "seen=yes")
    kubectl("delete", "deployment", "web")
    kubectl("delete", "pod", "-l", "app=web", "--force", "--grace-period=0")


def test_what_is_applied_is_kept_changed_and_pruned(kubectl: Kubectl) -> None:
    changed = deployment("applied", replicas=0)
    assert "created" in kubectl("apply", "-f", "-", text=deployment("applied"))
    assert "unchanged" in kubectl("apply", "-f", "-", text=deployment("applied"))
    done = kubectl.tries("diff", "-f", "-", text=changed)
    assert done.returncode == 1, done.stderr  # there are differences
    assert "+  replicas: 0" in done.stdout
    assert "configured" in kubectl("apply", "-f", "-", text=changed)
    assert "serverside-applied" in kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=changed)
    dry = kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", text=deployment("applied", replicas=3))
    assert json.loads(dry)["spec"]["replicas"] == 3
    assert kubectl("get", "deployment", "applied", "-o", "jsonpath={.spec.replicas}") == "0"
    kubectl("delete", "deployment", "applied")


def test_what_is_wrong_is_refused(kubectl: Kubectl) -> None:
    unknown = deployment("wrong").replace('"replicas"', '"replcas"')
    assert 'unknown field "' in kubectl.fails("apply", "-f", "-", text=unknown)
    assert "spec.replicas: Invalid value: -1" in kubectl.fails("apply", "-f", "-", text=deployment("w", replicas=-1))
    assert 'pods "nobody" not found' in kubectl.fails("get", "pod", "nobody")
    assert 'the server doesn\'t have a resource type "nothings"' in kubectl.fails("get", "nothings")


@pytest.mark.parametrize("kind", ["merge", "strategic", "json"])
def test_patches(kubectl: Kubectl, kind: str) -> None:
    kubectl("create", "configmap", "patched", "--from-literal=a=1")
    body = '[{"op": "add", "path": "/data/b", "value": "2"}]' if kind == "json" else '{"data": {"b": "2"}}'
    kubectl("patch", "configmap", "patched", f"--type={kind}", "-p", body)
    assert json.loads(kubectl("get", "configmap", "patched", "-o", "json"))["data"] == {"a": "1", "b": "2"}
    kubectl("delete", "configmap", "patched")


def test_watches_show_what_comes_and_goes(kubectl: Kubectl) -> None:
    watcher = kubectl.start("get", "configmaps", "--watch", "--output-watch-events")
    try:
        watcher.until(r"ADDED\s+kube-root-ca.crt")
        kubectl("create", "configmap", "seen")
        watcher.until(r"ADDED\s+seen")
        kubectl("patch", "configmap", "seen", "-p", '{"data": {"a": "1"}}')
        watcher.until(r"MODIFIED\s+seen")
        kubectl("delete", "configmap", "seen")
        watcher.until(r"DELETED\s+seen")
    finally:
        watcher.stop()


def test_commands_run_in_pods(kubectl: Kubectl, pod: Make, tmp_path: Path) -> None:
    name = pod("exec", one("sleep infinity"))
    assert kubectl("exec", name, "--", "echo", "hello") == "hello\n"
    assert kubectl("exec", "-i", name, "--", "cat", text="in and out") == "in and out"
    assert "exit code 7" in kubectl.fails("exec", name, "--", "sh", "-c", "exit 7")
    (tmp_path / "there").write_text("and back")
    kubectl("cp", str(tmp_path / "there"), f"{name}:/tmp/there")
    kubectl("cp", f"{name}:/tmp/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "and back"
    attached = pod("attach", one("cat", stdin=True, stdinOnce=True))
    assert "typed" in kubectl("attach", "-i", attached, text="typed\n")


def test_logs_are_followed_to_their_end(kubectl: Kubectl, namespace: Namespace, pod: Make) -> None:
    name = pod("logs", told("echo first", "echo last"))
    follower = kubectl.start("logs", "-f", name)
    try:
        follower.until("first")
        namespace.exec(name, "touch", "/tmp/go")
        follower.until("last")
        assert follower.process.wait(60) == 0
    finally:
        follower.stop()
    assert kubectl("logs", "--tail=1", name) == "last\n"


def test_ports_are_forwarded(kubectl: Kubectl, pod: Make) -> None:
    name = pod("forwarded", served("forwarded"))
    forwarder = kubectl.start("port-forward", f"pod/{name}", ":8000")
    try:
        port = forwarder.until(r"Forwarding from 127.0.0.1:(\d+)")[1]
        for _ in range(2):  # more than one connection through one session
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                assert answer.read() == b"forwarded\n"
    finally:
        forwarder.stop()


def test_kinds_are_explained_and_listed(kubectl: Kubectl) -> None:
    assert "KIND:       Deployment" in re.sub(r"KIND: +", "KIND:       ", kubectl("explain", "deployment"))
    assert "maxSurge" in kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert re.search(r"^deployments +deploy +(apps/v1 +)?", kubectl("api-resources"), re.MULTILINE)
    assert "apps/v1" in kubectl("api-versions").splitlines()


def test_what_nodes_and_pods_use_is_shown(kubectl: Kubectl, pod: Make) -> None:
    pod("busy", one("while true; do :; done"))
    eventually(lambda: "node-1" in kubectl.tries("top", "nodes").stdout)
    eventually(lambda: re.search(r"^busy +[1-9]\d*m +\d+Mi", kubectl.tries("top", "pods").stdout, re.MULTILINE))


def test_rights_are_asked_for_and_waits_end(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    done = kubectl.tries("auth", "can-i", "create", "pods", "--as=nobody")
    assert (done.returncode, done.stdout) == (1, "no\n")
    metadata = {"name": "held", "finalizers": ["kijabi.example/held"]}
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}))
    waiting = kubectl.start("delete", "configmap", "held")
    try:
        waiting.until("deleted")  # it says so before it waits for the object to go
        assert kubectl("get", "configmap", "held", "-o", "jsonpath={.metadata.deletionTimestamp}")
        kubectl("patch", "configmap", "held", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        assert waiting.process.wait(60) == 0
    finally:
        waiting.stop()


def test_custom_resources_are_like_others(kubectl: Kubectl, websites: None) -> None:
    thing = {"apiVersion": "kijabi.example/v1", "kind": "Website", "metadata": {"name": "by-hand"}}
    kubectl("apply", "-f", "-", text=json.dumps({**thing, "spec": {"text": "one"}}))
    kubectl("apply", "-f", "-", text=json.dumps({**thing, "spec": {"text": "two"}}))
    assert kubectl("get", "web", "by-hand", "--no-headers").split()[:2] == ["by-hand", "1"]
    kubectl("scale", "website/by-hand", "--replicas=3")
    assert kubectl("get", "website", "by-hand", "-o", "jsonpath={.spec.replicas} {.spec.text}") == "3 two"
    assert "text" in kubectl("explain", "website.spec")
    kubectl("delete", "website", "by-hand")


def test_nodes_are_drained_and_opened_again(kubectl: Kubectl, pod: Make) -> None:
    pod("drained", one("sleep infinity"), labels={"drain": "me"})
    try:
        said = kubectl("drain", "node-1", "--pod-selector=drain=me", "--force", "--timeout=60s")
        assert "pod/drained evicted" in said
        assert "SchedulingDisabled" in kubectl("get", "node", "node-1")
    finally:
        kubectl("uncordon", "node-1")
    assert "SchedulingDisabled" not in kubectl("get", "node", "node-1")
    assert 'pods "drained" not found' in kubectl.fails("get", "pod", "drained")
