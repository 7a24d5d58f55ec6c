"""Custom resources as a user meets them: the real kubectl against a cluster whose containers only pretend."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import Cluster, eventually

pytestmark = pytest.mark.e2e

PORT = 17543
SPEC = {
    "type": "object",
    "description": "What is wanted.",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "description": "How large it is.", "minimum": 1},
        "replicas": {"type": "integer", "default": 1},
    },
}
STATUS = {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}}
PATHS = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}
VERSION: dict[str, Any] = {
    "name": "v1",
    "served": True,
    "storage": True,
    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}},
    "subresources": {"status": {}, "scale": PATHS},
    "additionalPrinterColumns": [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ],
}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
        "versions": [VERSION],
    },
}


@pytest.fixture(scope="module")
def pretended() -> Iterator[Cluster]:
    """A cluster of its own."""
    directory = Path(tempfile.mkdtemp(prefix="kijabi-e2e-"))
    running = Cluster(directory, PORT)
    try:
        running.kijabi("up", "--port", str(PORT), "--runtime", "fake")
        yield running
    finally:
        running.kijabi("down", "--purge")
        shutil.rmtree(directory, ignore_errors=True)


def widget(**spec: Any) -> str:
    return json.dumps({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec})


def test_a_custom_resource_from_its_definition_to_its_end(pretended: Cluster) -> None:
    kubectl, refused = pretended.kubectl, pretended.try_kubectl
    kubectl("apply", "-f", "-", text=json.dumps(CRD))
    kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=5s")
    listed = next(line for line in kubectl("api-resources").splitlines() if line.startswith("widgets"))
    assert listed.split() == ["widgets", "wd", "example.com/v1", "true", "Widget"]
    kubectl("apply", "-f", "-", text=widget(size=3))
    assert [line.split()[:2] for line in kubectl("get", "wd").splitlines()] == [["NAME", "SIZE"], ["a", "3"]]
    assert "widget.example.com/a" in kubectl("get", "all")
    eventually(lambda: "How large it is." in kubectl("explain", "widget.spec.size"))

    kubectl("patch", "wd", "a", "--type=merge", "-p", '{"spec":{"size":5}}')
    kubectl("scale", "wd/a", "--replicas=4")
    found = pretended.get("wd", "a")
    assert (found["spec"], found["metadata"]["generation"]) == ({"size": 5, "replicas": 4}, 3)
    wrong = refused("apply", "-f", "-", text=widget(size=0))
    assert "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1" in wrong.stderr
    wrong = refused("apply", "-f", "-", text=widget(size=1, bogus=1))
    assert 'unknown field "spec.bogus"' in wrong.stderr
    wrong = refused("patch", "wd", "a", "-p", '{"spec":{"size":9}}')
    assert "application/strategic-merge-patch+json is not supported by example.com/v1, Kind=Widget" in wrong.stderr

    kubectl("replace", "-f", "-", text=widget(size=7))
    assert pretended.get("wd", "a")["spec"] == {"size": 7, "replicas": 1}
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=widget(size=8))
    kubectl("label", "wd", "a", "x=y")
    assert kubectl("get", "wd", "-l", "x=y", "-o", "name").split() == ["widget.example.com/a"]
    assert "Size:" in kubectl("describe", "wd", "a")
    kubectl("delete", "wd", "a")
    kubectl("apply", "-f", "-", text=widget(size=2))
    kubectl("delete", "crd", "widgets.example.com", "--timeout=10s")
    assert refused("get", "wd").returncode == 1


def test_a_definition_with_objects_survives_a_crash_of_the_server(pretended: Cluster) -> None:
    kubectl = pretended.kubectl
    kubectl("apply", "-f", "-", text=json.dumps(CRD))
    kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=5s")
    waiting = json.loads(widget(size=1))
    waiting["metadata"]["finalizers"] = ["example.com/wait"]
    kubectl("apply", "-f", "-", text=json.dumps(waiting))
    kubectl("delete", "crd", "widgets.example.com", "--wait=false")
    pretended.run_here("kill", "-9", str(pretended.component("apiserver")["pid"]))
    eventually(lambda: pretended.try_kubectl("get", "wd", "a").returncode == 0)
    kubectl("patch", "wd", "a", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", "--for=delete", "crd/widgets.example.com", "--timeout=10s")
