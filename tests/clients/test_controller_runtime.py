"""A small operator on controller-runtime (`go/operator`) with a service account's rights, outside and inside a pod."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.world import OPERATOR_RULES, Running, account, as_account, elects, operates
from tests.e2e.test_pods import one
from tests.e2e.world import Namespace, eventually

pytestmark = [pytest.mark.clients, pytest.mark.built, pytest.mark.usefixtures("websites")]


@pytest.fixture(scope="module")
def kubeconfig(namespace: Namespace) -> Path:
    return account(namespace, "operator", OPERATOR_RULES)


def start(operator: Path, namespace: Namespace, kubeconfig: Path, identity: str) -> Running:
    names = {"NAMESPACE": namespace.name, "IDENTITY": identity}
    return Running([operator], as_account(namespace.cluster, kubeconfig, **names))


def test_it_operates(operator: Path, namespace: Namespace, kubeconfig: Path) -> None:
    running = start(operator, namespace, kubeconfig, "one")
    try:
        running.until("elected one")
        operates(namespace)
        assert ("Created", "made deployment home") in namespace.events("home")
    finally:
        running.stop()
    assert running.process.returncode == 0, running.text


def test_one_of_two_operators_is_elected(operator: Path, namespace: Namespace, kubeconfig: Path) -> None:
    elects(lambda identity: start(operator, namespace, kubeconfig, identity), led="elected {}")


def test_it_goes_on_when_the_server_was_killed(operator: Path, namespace: Namespace, kubeconfig: Path) -> None:
    running = start(operator, namespace, kubeconfig, "steady")
    try:
        running.until("elected steady")
        namespace.cluster.kill("apiserver")
        operates(namespace)
    finally:
        running.stop()


def test_it_operates_in_a_pod(operator: Path, namespace: Namespace, kubeconfig: Path) -> None:
    shared = namespace.cluster.directory / "operator"
    shared.mkdir()
    shutil.copy(operator, shared)
    spec = one("exec /operator/operator") | {
        "serviceAccountName": "operator",
        "volumes": [{"name": "program", "hostPath": {"path": str(shared)}}],
    }
    spec["containers"][0] |= {
        "volumeMounts": [{"name": "program", "mountPath": "/operator"}],
        "env": [{"name": "NAMESPACE", "value": namespace.name}, {"name": "IDENTITY", "value": "inside"}],
    }
    namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": spec})
    eventually(lambda: "elected inside" in namespace.kubectl("logs", "operator"))
    operates(namespace)
    namespace.kubectl("delete", "pod", "operator")


def test_without_rights_it_says_what_it_may_not(operator: Path, namespace: Namespace) -> None:
    powerless = account(namespace, "powerless", ())
    running = start(operator, namespace, powerless, "powerless")
    try:
        who = f"system:serviceaccount:{namespace.name}:powerless"
        running.until(f"website-operator.* is forbidden: User .*{who}.* cannot get resource .*leases")
    finally:
        running.stop()
