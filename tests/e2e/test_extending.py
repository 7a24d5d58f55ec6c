"""docs/extending.md, step by step, with the real kubectl and the programs of examples/extending in pods."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import Cluster, eventually

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples" / "extending"


@pytest.fixture
def space(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace that ends with the test."""
    name = re.sub(r"\W|_", "-", request.node.name.removeprefix("test_"))
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--timeout=80s")


def refused(cluster: Cluster, *arguments: str, text: str | None = None) -> str:
    done = cluster.try_kubectl(*arguments, text=text)
    assert done.returncode, done.stdout
    return done.stderr


def install(cluster: Cluster, what: str, space: str) -> None:
    script = EXAMPLES / what / "install.sh"
    done = subprocess.run([str(script), space], env=cluster.environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def test_definition(cluster: Cluster, space: str) -> None:
    cluster.kubectl("apply", "-f", str(EXAMPLES / "crd" / "crd.yaml"))
    try:
        cluster.kubectl("wait", "--for=condition=Established", "crd/backups.example.com", "--timeout=10s")
        eventually(lambda: "When to back up" in cluster.kubectl("explain", "backup.spec"))
        here = ("-n", space)
        cluster.kubectl(*here, "apply", "-f", str(EXAMPLES / "crd" / "backup.yaml"))
        table = cluster.kubectl(*here, "get", "bk").splitlines()
        assert table[0].split() == ["NAME", "SCHEDULE", "COPIES", "PHASE", "AGE"]
        assert table[1].split()[:7] == ["nightly", "30", "2", "*", "*", "*", "3"]
        assert "nightly" in cluster.kubectl(*here, "get", "all")
        for change, said in {
            '{"spec":{"keepDays":1}}': "each copy must be kept for a day at least",
            '{"spec":{"target":"other"}}': "the target of a backup cannot be changed",
            '{"spec":{"schedule":"2"}}': "five fields expected, not: 2",
            '{"spec":{"copies":10}}': "spec.copies in body should be less than or equal to 9",
        }.items():
            assert said in refused(cluster, *here, "patch", "backup", "nightly", "--type=merge", "-p", change)
        cluster.kubectl(*here, "scale", "backup", "nightly", "--replicas=5")
        found = cluster.get(*here, "backups", "--field-selector=spec.target=orders-database")["items"]
        assert [one["spec"]["copies"] for one in found] == [5]
        assert not cluster.get(*here, "backups", "--field-selector=spec.target=other")["items"]
    finally:
        cluster.kubectl("delete", "-f", str(EXAMPLES / "crd" / "crd.yaml"))
    assert "NotFound" in refused(cluster, "get", "--raw", "/apis/example.com/v1/backups")


def test_policy(cluster: Cluster, space: str) -> None:
    policy = str(EXAMPLES / "policy" / "policy.yaml")
    cluster.kubectl("apply", "-f", policy)
    try:
        cluster.kubectl("label", "namespace", space, "teams=yes")
        create = ("-n", space, "create", "deployment", "web", "--image=nginx:1.22")
        said = eventually(lambda: cluster.try_kubectl(*create, "--dry-run=server").stderr)
        assert "ValidatingAdmissionPolicy 'teams' with binding 'teams' denied request: a deployment must say" in said
        body = json.loads(cluster.kubectl(*create, "--dry-run=client", "-o", "json"))
        body["metadata"]["labels"]["team"] = "red"
        cluster.kubectl("-n", space, "apply", "-f", "-", text=json.dumps(body))
        cluster.kubectl("-n", space, "patch", "deployment", "web", "-p", '{"spec":{"replicas":3}}')
        body["spec"]["replicas"] = 4
        said = refused(cluster, "-n", space, "apply", "-f", "-", text=json.dumps(body))
        assert "team red may have 3 replicas" in said
        made = cluster.get("-n", space, "deployment", "web")
        assert made["spec"]["revisionHistoryLimit"] == 3
        assert made["metadata"]["annotations"]["example.com/looked-at-by"] == "history"
    finally:
        cluster.kubectl("delete", "-f", policy)


def test_webhook(cluster: Cluster, space: str) -> None:
    install(cluster, "webhook", space)
    try:
        cluster.kubectl("-n", space, "run", "one", "--image=nginx:1.22")
        assert cluster.get("-n", space, "pod", "one")["metadata"]["labels"]["shift"] in ("day", "night")
        said = refused(cluster, "-n", space, "run", "two", "--image=nginx:1.22", "--labels=shift=none")
        assert 'admission webhook "shifts.example.com" denied the request: somebody must be there' in said
        cluster.kubectl("-n", space, "scale", "deployment", "shifts", "--replicas=0")
        eventually(lambda: not cluster.get("-n", space, "pods", "-l", "app=shifts")["items"])
        said = refused(cluster, "-n", space, "run", "three", "--image=nginx:1.22")
        assert 'failed calling webhook "shifts.example.com"' in said
        cluster.kubectl("-n", space, "scale", "deployment", "shifts", "--replicas=1")
        cluster.kubectl("-n", space, "rollout", "status", "deployment/shifts", "--timeout=60s")
    finally:
        cluster.kubectl("delete", "mutatingwebhookconfiguration", "shifts")


def test_aggregated(cluster: Cluster, space: str) -> None:
    install(cluster, "aggregated", space)
    service = "apiservice/v1.clocks.example.com"
    try:
        clock = json.loads(cluster.kubectl("get", "--raw", "/apis/clocks.example.com/v1/clocks/seoul"))
        assert re.fullmatch(r"\d\d:\d\d", clock["time"])
        names = cluster.kubectl("get", "clocks", "-o", "name").split()
        assert names == [f"clock.clocks.example.com/{city}" for city in ("berlin", "seoul", "lima")]
        assert "kubernetes-admin looks at all clocks" in cluster.kubectl("-n", space, "logs", "deployment/clocks")
        assert "NotFound" in refused(cluster, "get", "clock", "rome")
        cluster.kubectl("-n", space, "scale", "deployment", "clocks", "--replicas=0")
        cluster.kubectl("wait", "--for=condition=Available=False", service, "--timeout=60s")
        assert "unable to handle the request" in refused(cluster, "get", "--raw", "/apis/clocks.example.com/v1/clocks")
        cluster.kubectl("get", "pods", "-A")
    finally:
        cluster.kubectl("delete", service)
