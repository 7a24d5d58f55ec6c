"""A real cluster for the end-to-end tests: started by the command a user types, driven by the real kubectl.

One cluster serves the whole run; the last thing it must do is leave nothing behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.traces import Traces
from tests.e2e.world import Cluster

PORT = 17443


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running one-node cluster with the images of `make images`."""
    if os.geteuid() != 0:
        pytest.fail("end-to-end tests need root: containers, network namespaces, nftables")
    before = Traces.of_machine()
    directory = Path(tempfile.mkdtemp(prefix="kijabi-e2e-"))
    running = Cluster(directory, PORT)
    try:
        running.kijabi("up", "--port", str(PORT))
        images = [sys.executable, "-m", "kijabi.testing.images", "import", "--data-dir", str(directory)]
        subprocess.run(images, check=True)
        yield running
    finally:
        if sys.exc_info()[0] is not None or os.environ.get("KIJABI_KEEP_LOGS"):
            running.save_logs(Path("/tmp/kijabi-e2e-logs"))
        running.kijabi("down", "--purge")
    left = Traces.of_machine() - before
    assert not left, f"the cluster left behind: {left}"
    assert not directory.exists()
