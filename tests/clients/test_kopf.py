"""A small operator with kopf (`python/websites.py`), with a service account's rights; and kopf's own election."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.clients.world import HERE, OPERATOR_RULES, Running, account, as_account, operates
from tests.e2e.world import Namespace, eventually

pytestmark = [pytest.mark.clients, pytest.mark.usefixtures("websites")]

RULES = (*OPERATOR_RULES, {"apiGroups": ["kopf.dev"], "resources": ["kopfpeerings"], "verbs": ["*"]})
# Which namespaces and definitions there are: kopf asks for long where it may not know.
SEEN = (
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list", "watch"]},
)
# How kopf's operators know of each other: its documentation asks for this definition.
PEERINGS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "kopfpeerings.kopf.dev"},
    "spec": {
        "scope": "Namespaced",
        "group": "kopf.dev",
        "names": {"kind": "KopfPeering", "plural": "kopfpeerings", "singular": "kopfpeering"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def kubeconfig(namespace: Namespace) -> Path:
    return account(namespace, "operator", RULES, SEEN)


def start(namespace: Namespace, kubeconfig: Path, *arguments: str) -> Running:
    line = [sys.executable, "-m", "kopf", "run", "-n", namespace.name, *arguments, HERE / "python" / "websites.py"]
    return Running(line, as_account(namespace.cluster, kubeconfig))


def test_it_operates(namespace: Namespace, kubeconfig: Path) -> None:
    running = start(namespace, kubeconfig, "--standalone")
    try:
        running.until("Initial authentication has finished", seconds=20)
        operates(namespace)
        assert ("Created", "made deployment home") in namespace.events("home")
    finally:
        running.stop()
    assert running.process.returncode == 0, running.text


def test_it_goes_on_when_the_server_was_killed(namespace: Namespace, kubeconfig: Path) -> None:
    running = start(namespace, kubeconfig, "--standalone")
    try:
        running.until("Initial authentication has finished", seconds=20)
        namespace.cluster.kill("apiserver")
        operates(namespace)
    finally:
        running.stop()


def test_the_one_of_lower_priority_waits_until_the_other_is_gone(namespace: Namespace, kubeconfig: Path) -> None:
    namespace.cluster.kubectl("apply", "-f", "-", text=json.dumps(PEERINGS))
    namespace.cluster.kubectl("wait", "crd/kopfpeerings.kopf.dev", "--for=condition=Established", "--timeout=30s")
    namespace.apply({"apiVersion": "kopf.dev/v1", "kind": "KopfPeering", "metadata": {"name": "websites"}})
    first = start(namespace, kubeconfig, "--peering=websites", "--priority=10")
    second = None
    try:
        first.until("Initial authentication has finished")
        eventually_announced(namespace, 1)
        second = start(namespace, kubeconfig, "--peering=websites", "--priority=5")
        second.until("Initial authentication has finished", seconds=20)
        eventually_announced(namespace, 2)
        assert "Resuming" not in second.text  # it begins paused, and says nothing of it
        first.stop()
        second.until("Resuming operations")
        operates(namespace)
    finally:
        first.stop()
        if second is not None:
            second.stop()
    namespace.cluster.kubectl("delete", "crd", "kopfpeerings.kopf.dev")


def eventually_announced(namespace: Namespace, count: int) -> None:
    """Wait until so many operators have written themselves into the peering."""
    eventually(lambda: len(namespace.get("kopfpeering", "websites").get("status") or {}) == count)
