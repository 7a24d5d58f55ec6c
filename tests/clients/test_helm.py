"""Helm 3, built from the module proxy, with a chart (`chart/`) that has a definition, its object, hooks and a test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.world import HERE, output
from tests.e2e.world import Namespace

pytestmark = [pytest.mark.clients, pytest.mark.built]

CHART = HERE / "chart"
PAGE = "pages.chart.kijabi.example"


class Helm:
    """Helm for a namespace, with folders of its own."""

    def __init__(self, program: Path, namespace: Namespace, home: Path) -> None:
        self.command = [program, "-n", namespace.name]
        self.environment = {**namespace.cluster.environment, "HOME": str(home)}

    def __call__(self, *arguments: str | Path) -> str:
        return output([*self.command, *arguments], self.environment, seconds=150)

    def read(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))


@pytest.fixture
def run(helm: Path, namespace: Namespace, tmp_path: Path) -> Iterator[Helm]:
    yield Helm(helm, namespace, tmp_path)
    namespace.cluster.kubectl("delete", "crd", PAGE, "--ignore-not-found")


def served_text(namespace: Namespace) -> str:
    return namespace.field("configmap/site", "{.data}") + namespace.field(f"{PAGE}/site", " {.spec.text}")


def test_a_release_is_installed_upgraded_rolled_back_tested_and_uninstalled(run: Helm, namespace: Namespace) -> None:
    assert "STATUS: deployed" in run("install", "site", CHART, "--wait", "--timeout=2m")
    assert served_text(namespace) == '{"text":"one"} one'
    assert namespace.kubectl("logs", "job/site-pre-install") == "pre-install of revision 1\n"
    assert "Phase:          Succeeded" in run("test", "site", "--timeout=1m")

    run("upgrade", "site", CHART, "--set", "text=two,replicas=2", "--wait", "--timeout=2m")
    assert served_text(namespace) == '{"before":"one","text":"two"} two'
    assert namespace.kubectl("logs", "job/site-post-upgrade") == "post-upgrade of revision 2\n"
    assert namespace.field("deployment/site", "{.status.readyReplicas}") == "2"
    run("test", "site", "--timeout=1m")

    run("rollback", "site", "1", "--wait", "--timeout=2m")
    assert served_text(namespace) == '{"text":"one"} one'
    assert [entry["status"] for entry in run.read("history", "site")] == ["superseded", "superseded", "deployed"]
    assert run.read("list")[0]["revision"] == "3"
    assert run.read("get", "values", "site") is None
    assert "kind: Page" in run("get", "manifest", "site")

    assert run("uninstall", "site", "--wait", "--timeout=1m") == 'release "site" uninstalled\n'
    kinds = "deployment,service,configmap,secret," + PAGE
    left = namespace.kubectl("get", kinds, "-o", "name").split()
    assert left == ["configmap/kube-root-ca.crt"]
    assert (
        namespace.cluster.kubectl("get", "crd", PAGE, "-o", "name")
        == f"customresourcedefinition.apiextensions.k8s.io/{PAGE}\n"
    )


def test_a_release_that_the_server_refuses_is_told_and_goes_back(run: Helm, namespace: Namespace) -> None:
    run("install", "site", CHART, "--wait", "--timeout=2m")
    with pytest.raises(AssertionError, match=r"spec\.text: Too long: may not be more than 20 bytes"):
        run("upgrade", "site", CHART, "--atomic", "--set", "text=much longer than it may be", "--timeout=1m")
    assert [entry["status"] for entry in run.read("history", "site")][-1] == "deployed"
    assert run.read("history", "site")[-1]["description"] == "Rollback to 1"
    assert namespace.field(f"{PAGE}/site", "{.spec.text}") == "one"
    run("uninstall", "site", "--wait", "--timeout=1m")


def test_a_chart_is_checked_against_the_server_without_changing_it(run: Helm, namespace: Namespace) -> None:
    namespace.cluster.kubectl("apply", "-f", str(CHART / "crds"))
    namespace.cluster.kubectl("wait", f"crd/{PAGE}", "--for=condition=Established", "--timeout=30s")
    shown = run("install", "site", CHART, "--dry-run=server")
    assert 'text: "one"' in shown
    assert run.read("list", "--all") == []
