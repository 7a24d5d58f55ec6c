"""kube-proxy and kubelet of upstream run against our API server unchanged."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kijabi.apiserver.pki import Pki
from tests.e2e.world import Namespace, eventually
from tests.kubelet.runtime.realnode import RealNode
from tests.upstream.conftest import HOLLOW, SPARE
from tests.upstream.plane import KUBELET, PROXY, Plane, workload

pytestmark = [pytest.mark.built, pytest.mark.upstream]

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
CONNTRACK = ("max-per-core", "tcp-timeout-established", "tcp-timeout-close-wait")  # the machine's, not a namespace's


def test_the_proxy_follows_services(namespace: Namespace, cluster: Plane, tmp_path: Path) -> None:
    """kube-proxy in a network namespace of its own writes its rules there, for nodes that only pretend."""
    namespace.apply(
        workload("Deployment", "web", replicas=2),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
         "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
    )  # fmt: skip
    namespace.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    address = namespace.field("service/web", "{.spec.clusterIP}")
    with _netns("kijabi-upstream") as (enter, server):
        file = tmp_path / "kubeconfig"
        flattened = cluster.kubectl(
            "config", "view", "--flatten", "--kubeconfig", str(cluster.config.component_kubeconfig("proxy"))
        )
        file.write_text(flattened.replace(cluster.config.advertised_server, f"https://{server}:{cluster.port}"))
        context = cluster.kubectl("config", "view", "--kubeconfig", str(file), "-o", "jsonpath={.clusters[0].name}")
        cluster.kubectl("config", "set-cluster", context, "--tls-server-name=localhost", "--kubeconfig", str(file))
        program = str(cluster.builder.program(PROXY))
        untouched = [f"--conntrack-{each}=0" for each in CONNTRACK]
        cluster.start_part(
            PROXY.name, *enter, program, f"--kubeconfig={file}", "--proxy-mode=nftables",
            f"--hostname-override={HOLLOW[0]}", f"--cluster-cidr={cluster.config.pod_cidr}", *untouched, "--v=2",
        )  # fmt: skip
        try:

            def rules() -> str:
                return cluster.run_here(*enter, "nft", "list", "table", "ip", "kube-proxy")

            eventually(lambda: f"{address} . tcp . 80 : goto" in rules())
            pods = [pod["status"]["podIP"] for pod in namespace.get("pods")["items"]]
            eventually(lambda: all(f"{each} . 80" in rules() for each in pods))
            namespace.kubectl("delete", "service", "web")
            eventually(lambda: address not in rules())
        finally:
            cluster.stop(PROXY.name)
    assert cluster.complaints(PROXY.name) == []


@contextmanager
def _netns(name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """A network namespace from which this machine can be reached: how to enter it, and the machine's address."""
    address, other = "10.250.99.1", "10.250.99.2"
    enter = ("ip", "netns", "exec", name)
    subprocess.run(("ip", "netns", "add", name), check=True)
    lines = (
        f"ip link add {name[:12]} type veth peer name inner netns {name}",
        f"ip addr add {address}/30 dev {name[:12]}",
        f"ip link set {name[:12]} up",
        f"ip -n {name} addr add {other}/30 dev inner",
        f"ip -n {name} link set inner up",
        f"ip -n {name} link set lo up",
        f"ip -n {name} route add default via {address}",
    )
    try:
        for line in lines:
            subprocess.run(line.split(), check=True)
        yield enter, address
    finally:
        subprocess.run(("ip", "netns", "del", name), check=True)


def test_a_kubelet_runs_containers(
    namespace: Namespace, cluster: Plane, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Upstream's kubelet on a containerd joins, runs a pod with a volume and a token, and serves its log and exec."""
    node = RealNode(tmp_path_factory.mktemp("kubelet"), pod_cidr="10.231.9.0/24")
    try:
        node.start()
        image = node.add_image("busybox")
        node.cgroups.create(node.config.cgroups)
        _start_kubelet(cluster, node)
        try:
            cluster.kubectl("wait", "--for=create", f"node/{SPARE}", "--timeout=60s")
            cluster.kubectl("wait", "--for=condition=Ready", f"node/{SPARE}", "--timeout=60s")
            node_info = cluster.get("node", SPARE)["status"]["nodeInfo"]
            assert node_info["containerRuntimeVersion"].startswith("containerd://")
            _run_a_pod(namespace, image)
        finally:
            cluster.stop(KUBELET.name)
            cluster.kubectl("delete", "node", SPARE, "--ignore-not-found")
    finally:
        node.remove()
    assert node.traces() == []
    assert cluster.complaints(KUBELET.name) == []


def _start_kubelet(cluster: Plane, node: RealNode) -> None:
    config, address = cluster.config, _address()
    serving = Pki(config.pki).kubelet_serving(SPARE, [address])
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{node.config.socket}", "port": cluster.port + 1000, "healthzPort": 0,
        "authentication": {"x509": {"clientCAFile": str(config.pki / "ca.crt")}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.cert), "tlsPrivateKeyFile": str(serving.key),
        "cgroupDriver": "cgroupfs", "cgroupRoot": node.config.cgroups, "failCgroupV1": False, "failSwapOn": False,
        "enforceNodeAllocatable": [], "localStorageCapacityIsolation": False,
        "podLogsDir": str(node.directory / "logs"), "volumePluginDir": str(node.directory / "plugins"),
    }  # fmt: skip
    file = node.directory / "kubelet.json"
    file.write_text(json.dumps(settings))
    cluster.theirs(
        KUBELET, f"--config={file}", f"--kubeconfig={config.component_kubeconfig(SPARE)}",
        f"--hostname-override={SPARE}", f"--node-ip={address}", f"--root-dir={node.config.shared}",
        f"--cert-dir={node.directory / 'pki'}", "--v=2",
    )  # fmt: skip


def _address() -> str:
    """This machine's own address on the way to others; a kubelet takes none of the loopback."""
    found = subprocess.run(("ip", "-j", "route", "get", "192.0.2.254"), capture_output=True, check=True)
    return str(json.loads(found.stdout)[0]["prefsrc"])


def _run_a_pod(namespace: Namespace, image: str) -> None:
    mount = {"name": "words", "mountPath": "/words"}
    container = {
        "name": "c", "image": image, "imagePullPolicy": "Never", "volumeMounts": [mount],
        "command": ["sh", "-c", "cat /words/greeting; trap 'exit 0' TERM; sleep 600 & wait"],
        "readinessProbe": {"exec": {"command": ["test", "-s", "/words/greeting"]}},
    }  # fmt: skip
    namespace.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"greeting": "hello\n"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "real"}, "spec": {
            "nodeName": SPARE, "containers": [container], "terminationGracePeriodSeconds": 5,
            "volumes": [{"name": "words", "configMap": {"name": "words"}}]}},
    )  # fmt: skip
    namespace.kubectl("wait", "--for=condition=Ready", "pod/real", "--timeout=60s")
    assert namespace.kubectl("logs", "real") == "hello\n"
    assert namespace.exec("real", "cat", "/words/greeting") == "hello\n"
    assert namespace.shell("real", f"ls {ACCOUNT}").split() == ["ca.crt", "namespace", "token"]
    namespace.kubectl("delete", "pod", "real", "--timeout=60s")
