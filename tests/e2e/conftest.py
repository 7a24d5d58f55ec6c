"""A real cluster for the end-to-end tests: started by the command a user types, driven by the real kubectl.

One cluster serves the whole run; the last thing it must do is leave nothing behind. While writing tests, point
KIJABI_E2E_DIR at the data directory of a running cluster with images: it is used and left as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.traces import Traces
from tests.e2e.world import Cluster, Namespace

PORT = 17443
LOGS = Path(tempfile.gettempdir()) / "kijabi-e2e-logs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that break the shared cluster on purpose come last."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running one-node cluster with the images of `make images`."""
    yield from borrowed("KIJABI_E2E_DIR") or fresh_cluster(request, PORT)


def borrowed(variable: str) -> list[Cluster]:
    """The running cluster that an environment variable names, if it does."""
    directory = os.environ.get(variable)
    return [Cluster.at(Path(directory))] if directory else []


def fresh_cluster(request: pytest.FixtureRequest, port: int, *arguments: str) -> Iterator[Cluster]:
    """A cluster of one's own; its end is checked for traces."""
    if os.geteuid() != 0:
        pytest.fail("end-to-end tests need root: containers, network namespaces, nftables")
    directory = Path(tempfile.mkdtemp(prefix="kijabi-e2e-"))
    running = Cluster(directory, port)
    before = Traces.of_machine(directory)
    try:
        running.kijabi("up", "--port", str(port), *arguments)
        running.import_images()
        yield running
    finally:
        if request.session.testsfailed or os.environ.get("KIJABI_KEEP_LOGS"):
            running.save_logs(LOGS)
        running.kijabi("down", "--purge")
        left = Traces.of_machine(directory) - before
        shutil.rmtree(directory, ignore_errors=True)
    assert not left, f"the cluster left behind: {left}"


@pytest.fixture(scope="module")
def namespace(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Namespace]:
    """A namespace for a test file, told to go with all that is in it at its end."""
    made = Namespace(cluster, f"{request.module.__name__.rpartition('.')[2]}-{os.getpid()}".replace("_", "-"))
    cluster.kubectl("create", "namespace", made.name)
    made.has_account()
    yield made
    cluster.kubectl("delete", "namespace", made.name, "--wait=false")


@pytest.fixture
def pod(namespace: Namespace) -> Iterator[Callable[..., str]]:
    """Makes pods that go with the test: `pod("name", spec)` applies, waits for Ready and gives the name."""
    made: list[str] = []

    def make(name: str, spec: dict[str, object], *, wait: str = "condition=Ready", **metadata: object) -> str:
        made.append(name)
        namespace.apply(pod_object(name, spec, **metadata))
        if wait:
            namespace.kubectl("wait", f"--for={wait}", f"pod/{name}", "--timeout=60s")
        return name

    yield make
    if made:
        namespace.kubectl("delete", "pod", "--ignore-not-found", "--grace-period=0", "--force", "--wait=false", *made)


def pod_object(name: str, spec: dict[str, object], **metadata: object) -> dict[str, object]:
    """A Pod as a dictionary."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}
