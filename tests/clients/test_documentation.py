"""The examples of docs/clients.md run as they stand; only the kubeconfig is another."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kijabi.testing.programs import Programs
from tests.clients.conftest import Node
from tests.clients.world import HERE, Running, output
from tests.e2e.world import Cluster

pytestmark = pytest.mark.clients

ROOT = HERE.parents[1]
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
KUBECONFIG = "/var/lib/kijabi/kubeconfig"


def example(cluster: Cluster, section: str, language: str, number: int = 0) -> str:
    """A block of a section, for this cluster."""
    text = dict(SECTION.findall((ROOT / "docs" / "clients.md").read_text()))[section]
    blocks = [code for kind, code in BLOCK.findall(text) if kind == language]
    return str(blocks[number]).replace(KUBECONFIG, str(cluster.kubeconfig))


@pytest.fixture
def ready(cluster: Cluster) -> Cluster:
    """A cluster whose default namespace can have pods."""
    cluster.kubectl("wait", "serviceaccount/default", "--for=create", "--timeout=30s")
    return cluster


def test_kubectl(ready: Cluster) -> None:
    said = output(["bash", "-euc", example(ready, "kubectl", "sh")], ready.environment)
    assert "\nhello\n" in said


@pytest.mark.built
def test_helm(ready: Cluster, helm: Path, tmp_path: Path) -> None:
    (tmp_path / "helm").symlink_to(helm)
    environment = {**ready.environment, "PATH": f"{tmp_path}:{ready.environment['PATH']}"}
    said = output(["bash", "-euc", example(ready, "Helm", "sh")], environment, cwd=ROOT, seconds=180)
    assert said.endswith('release "site" uninstalled\n')
    ready.kubectl("delete", "-f", str(HERE / "chart" / "crds"))


@pytest.mark.built
def test_client_go(cluster: Cluster, programs: Programs, tmp_path: Path) -> None:
    built = go_program(example(cluster, "client-go", "go"), HERE / "go" / "clientgo", programs, tmp_path)
    assert re.fullmatch(r"1 nodes, \d+ pods\n", output([built], cluster.environment))


@pytest.mark.built
def test_controller_runtime(cluster: Cluster, programs: Programs, tmp_path: Path) -> None:
    built = go_program(example(cluster, "controller-runtime", "go"), HERE / "go" / "operator", programs, tmp_path)
    with running_example([built], cluster) as client:
        client.until("reconciled default/kube-root-ca.crt")


def go_program(code: str, module: Path, programs: Programs, place: Path) -> Path:
    """A main.go with the versions of another module."""
    source = place / f"example-{module.name}"
    source.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copy(module / name, source)
    (source / "main.go").write_text(code)
    return programs.local(source)


@contextmanager
def running_example(command: list[str | Path], cluster: Cluster) -> Iterator[Running]:
    client = Running(command, cluster.environment)
    try:
        yield client
    finally:
        client.stop()


@pytest.mark.parametrize(
    ("section", "number", "says"),
    [("Python", 0, "ADDED greeting\n"), ("Python", 1, ""), ("Python with asyncio", 0, "['node-1']\n")],
)
def test_python(cluster: Cluster, section: str, number: int, says: str) -> None:
    code = example(cluster, section, "python", number)
    assert says in output([sys.executable, "-c", code], cluster.environment)


def test_kopf(cluster: Cluster, tmp_path: Path) -> None:
    program = tmp_path / "greeter.py"
    program.write_text(example(cluster, "kopf", "python"))
    with running_example([sys.executable, program], cluster) as client:
        cluster.kubectl("create", "configmap", "welcome")
        cluster.kubectl("label", "configmap", "welcome", "greet=yes")
        client.until("greeted welcome")
        cluster.kubectl("delete", "configmap", "welcome")


def test_javascript(cluster: Cluster, node: Node) -> None:
    program = node.script("example.mjs", example(cluster, "JavaScript", "js"))
    assert output([node.program, program], cluster.environment) == "[ 'node-1' ]\n"
