"""Components that run by themselves with a kubeconfig, beside those of the cluster."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import pod_object
from tests.e2e.test_pods import one
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-m", "kijabi.cmd.main"]
# Asks a DNS server on 127.0.0.1:PORT for the address of a name.
ASK = """
import socket, struct, sys
name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[2].split(".")) + b"\\0"
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); link.settimeout(3)
link.sendto(struct.pack("!6H", 7, 256, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1), ("127.0.0.1", int(sys.argv[1])))
print(".".join(map(str, link.recv(4096)[-4:])))
"""


@contextmanager
def running(component: str, kubeconfig: Path, *arguments: str, log: Path) -> Iterator[None]:
    """A component as a process of its own, its log in a file."""
    line = [*COMMAND, component, "--kubeconfig", str(kubeconfig), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0, log.read_text()


def test_a_second_scheduler_for_pods_that_name_it(namespace: Namespace, cluster: Cluster, tmp_path: Path) -> None:
    namespace.apply(pod_object("mine", one(spec={"schedulerName": "mine"})))
    file = cluster.config.component_kubeconfig("scheduler")
    with running("scheduler", file, "--scheduler-name", "mine", log=tmp_path / "log"):
        namespace.kubectl("wait", "--for=condition=Ready", "pod/mine", "--timeout=60s")
    assert namespace.events("mine")[0][0] == "Scheduled"


def test_a_controller_manager_waits_for_the_lease_and_takes_it(
    namespace: Namespace, cluster: Cluster, tmp_path: Path
) -> None:
    file = cluster.config.component_kubeconfig("controller-manager")
    lease = ("-n", "kube-system", "get", "lease", "kube-controller-manager", "-o", "jsonpath={.spec.holderIdentity}")
    with running("controller-manager", file, "--leader-elect", log=tmp_path / "log"):
        assert eventually(lambda: cluster.try_kubectl(*lease).stdout)
        namespace.kubectl("create", "deployment", "both", "--image=busybox:1.35", "--", "sleep", "infinity")
        namespace.kubectl("rollout", "status", "deployment/both", "--timeout=60s")
    assert cluster.kubectl(*lease) == ""  # given up at the end


def test_dns_at_an_address_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    file = cluster.config.component_kubeconfig("dns")
    with running("dns", file, "--address", "127.0.0.1", "--port", "15353", log=tmp_path / "log"):
        question = (sys.executable, "-c", ASK, "15353", "kubernetes.default.svc.cluster.local")
        eventually(lambda: cluster.run_here(*question).strip() == cluster.config.service_ip)


def test_a_proxy_with_a_table_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    file = cluster.config.component_kubeconfig("proxy")
    config = cluster.config
    ranges = ("--cluster-cidr", config.pod_cidr, "--service-cidr", config.service_cidr, "--table", "kijabi-e2e-apart")
    with running("proxy", file, "--node-name", "apart", *ranges, log=tmp_path / "log"):
        shown = ("nft", "list", "map", "ip", "kijabi-e2e-apart", "address-services")
        eventually(lambda: f"{config.service_ip} . tcp . 443" in cluster.run_here(*shown))
    cluster.run_here("nft", "delete", "table", "ip", "kijabi-e2e-apart")


def test_a_kubelet_joins_with_its_own_containerd(namespace: Namespace, cluster: Cluster, tmp_path: Path) -> None:
    root = tmp_path / "node"
    settings = ("--node-name", "joined", "--root-dir", str(root), "--pod-cidr", "10.201.0.0/24")
    try:
        with running("kubelet", cluster.kubeconfig, *settings, log=tmp_path / "log"):
            eventually(lambda: cluster.try_kubectl("get", "node", "joined").returncode == 0)
            cluster.kubectl("wait", "--for=condition=Ready", "node/joined", "--timeout=60s")
            mark = hashlib.sha256(str(root).encode()).hexdigest()[:8]
            socket = f"/run/kijabi/{mark}/containerd.sock"
            images = [sys.executable, "-m", "kijabi.testing.images", "import", "--socket", socket, "busybox"]
            subprocess.run(images, check=True, capture_output=True)
            spec = one("echo joined > /dev/termination-log", {"nodeName": "joined", "restartPolicy": "Never"})
            namespace.apply(pod_object("there", spec))
            namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/there", "--timeout=60s")
            ended = json.loads(namespace.kubectl("get", "pod", "there", "-o", "json"))["status"]["containerStatuses"][0]
            assert ended["state"]["terminated"]["message"] == "joined\n"
    finally:
        line = [*COMMAND, "kubelet", "--kubeconfig", str(cluster.kubeconfig), *settings, "--remove"]
        subprocess.run(line, check=True)
        cluster.kubectl("delete", "node", "joined", "--ignore-not-found")
    assert f"/run/kijabi/{mark}" not in Path("/proc/mounts").read_text()
    assert not Path(socket).exists()
