"""One control plane of upstream's components for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kijabi.testing.conformance.build import KUBECTL, Builder
from tests.e2e.conftest import LOGS
from tests.e2e.world import Namespace
from tests.upstream.plane import Plane

PORT = 17448
HOLLOW = ("node-1", "node-2")
SPARE = "node-3"  # keys for a kubelet that is not ours


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest) -> Iterator[Plane]:
    """Our API server and two hollow nodes; kube-controller-manager and kube-scheduler."""
    if os.geteuid() != 0:
        pytest.fail("these tests need root: containers, network namespaces, nftables")
    builder = Builder(print)
    builder.program(KUBECTL)
    plane = Plane(Path(tempfile.mkdtemp(prefix="kijabi-upstream-")), PORT, builder)
    try:
        plane.prepare(len(HOLLOW) + 1)
        plane.ours("apiserver", "apiserver")
        for name in HOLLOW:
            plane.ours(name, "node", "--node-name", name)
        plane.wait_for_server()
        plane.kubectl("delete", "node", SPARE)  # it was there while the directory was made
        plane.controller_manager()
        plane.scheduler()
        yield plane
    finally:
        plane.end()
        if request.session.testsfailed or os.environ.get("KIJABI_KEEP_LOGS"):
            plane.save_logs(LOGS)
        plane.kijabi("down", "--purge", check=False)
        shutil.rmtree(plane.directory, ignore_errors=True)


@pytest.fixture
def namespace(request: pytest.FixtureRequest, cluster: Plane) -> Iterator[Namespace]:
    """A namespace for one test; the controllers have made its service account."""
    made = Namespace(cluster, request.node.name.replace("_", "-")[:60].strip("-"))
    cluster.kubectl("create", "namespace", made.name)
    made.has_account()
    yield made
    cluster.kubectl("delete", "namespace", made.name, "--wait=false")
