"""kubectl's server-side apply: conflicts and their force, migration from client-side apply, what a user sees of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.e2e.world import Namespace

pytestmark = pytest.mark.e2e

SIDE = ("apply", "--server-side", "-f", "-")


def settings(**data: str) -> str:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}
    return msgspec.json.encode(body).decode()


def managers(namespace: Namespace) -> list[tuple[str, str]]:
    found = namespace.get("configmap", "settings", "--show-managed-fields")["metadata"]["managedFields"]
    return [(entry["manager"], entry["operation"]) for entry in found]


def test_conflicts_and_force(namespace: Namespace) -> None:
    assert "serverside-applied" in namespace.kubectl(*SIDE, text=settings(colour="red", size="1"))
    assert managers(namespace) == [("kubectl", "Apply")]
    refused = namespace.fails(*SIDE, "--field-manager=other", text=settings(colour="blue"))
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.colour' in refused
    assert "--force-conflicts" in refused
    namespace.kubectl(*SIDE, "--field-manager=other", "--force-conflicts", text=settings(colour="blue"))
    namespace.kubectl(*SIDE, text=settings(size="1"))
    assert namespace.get("configmap", "settings")["data"] == {"colour": "blue", "size": "1"}
    namespace.kubectl(*SIDE, "--field-manager=other", text=settings())
    assert namespace.get("configmap", "settings")["data"] == {"size": "1"}
    namespace.kubectl("delete", "configmap", "settings")


def test_from_client_side_apply_and_back(namespace: Namespace) -> None:
    namespace.kubectl("apply", "-f", "-", text=settings(colour="red", size="1"))
    assert managers(namespace) == [("kubectl-client-side-apply", "Update")]
    namespace.kubectl(*SIDE, text=settings(colour="blue"))
    assert namespace.get("configmap", "settings")["data"] == {"colour": "blue"}
    assert ("kubectl", "Apply") in managers(namespace)
    assert "blue" in namespace.kubectl("apply", "view-last-applied", "configmap/settings")
    dry = namespace.kubectl(*SIDE, "--dry-run=server", "-o", "jsonpath={.data.colour}", text=settings(colour="green"))
    assert dry == "green"
    namespace.kubectl("apply", "-f", "-", text=settings(colour="yellow"))
    assert namespace.get("configmap", "settings")["data"] == {"colour": "yellow"}
    namespace.kubectl("delete", "configmap", "settings")


def test_what_nobody_declared(namespace: Namespace) -> None:
    text = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"odd"},"colour":"red"}'
    refused = namespace.fails(*SIDE, "--validate=false", text=text)
    assert "(" + namespace.name + "/odd; /v1, Kind=ConfigMap): .colour: field not declared in schema" in refused
