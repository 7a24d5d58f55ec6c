"""The main job: the shop of examples/shop, driven with the real kubectl as README's tour drives it.

The tests of this file are steps of one story and run in order on one cluster.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import Cluster, eventually

pytestmark = pytest.mark.e2e

SHOP = Path(__file__).parents[2] / "examples" / "shop"
NAMESPACE = "shop"


class Shop:
    """The shop in a namespace of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def kubectl(self, *arguments: str, **more: object) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, *arguments, **more)  # type: ignore[arg-type]

    def names(self, tier: str) -> list[str]:
        out = self.kubectl("get", "pods", "-l", f"tier={tier}", "--field-selector=status.phase=Running", "-o", "name")
        return [line.removeprefix("pod/") for line in out.split()]

    def ready(self, deployment: str) -> None:
        self.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=80s")

    @property
    def service_address(self) -> str:
        return self.kubectl("get", "service", "frontend", "-o", "jsonpath={.spec.clusterIP}")


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[Shop]:
    cluster.kubectl("create", "namespace", NAMESPACE)
    made = Shop(cluster)
    made.kubectl("apply", "-f", str(SHOP))
    for deployment in ("redis", "api", "frontend"):
        made.ready(deployment)
    yield made
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=80s")


def fetch(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.loads(answer.read())  # type: ignore[no-any-return]


def test_it_answers_through_the_service_from_the_host(shop: Shop) -> None:
    first = fetch(f"http://{shop.service_address}/")
    second = fetch(f"http://{shop.service_address}/")
    assert first["greeting"] == "Welcome to the shop"
    assert second["visits"] == int(str(first["visits"])) + 1
    assert fetch("http://127.0.0.1:30080/")["version"] == "1"


def test_it_answers_in_a_pod_by_name(shop: Shop) -> None:
    pod = shop.names("api")[0]
    script = "import urllib.request as u; print(u.urlopen('http://frontend.shop.svc.cluster.local/').read().decode())"
    assert "Welcome" in shop.kubectl("exec", pod, "-c", "api", "--", "python3", "-c", script)
    assert "Welcome" in shop.kubectl("exec", pod, "--", "python3", "-c", script.replace(".shop.svc.cluster.local", ""))


def test_configuration_reaches_the_containers(shop: Shop) -> None:
    pod = shop.names("api")[0]
    assert shop.kubectl("exec", pod, "--", "sh", "-c", "echo $GREETING").strip() == "Welcome to the shop"
    assert "correct-horse" in shop.kubectl("exec", pod, "--", "cat", "/etc/shop/redis/password")
    assert "correct-horse" in shop.kubectl("exec", shop.names("store")[0], "--", "sh", "-c", "echo $REDIS_PASSWORD")


def test_logs_of_init_and_main_containers(shop: Shop) -> None:
    pod = shop.names("api")[0]
    assert "redis says PONG" in shop.kubectl("logs", pod, "-c", "wait-for-redis")
    assert "listens on 8000" in shop.kubectl("logs", pod)
    assert len(shop.kubectl("logs", pod, "--tail=2").splitlines()) == 2
    follower = shop.cluster.start("-n", NAMESPACE, "logs", "-f", "--tail=0", "deployment/frontend")
    try:
        time.sleep(0.5)
        fetch(f"http://{shop.service_address}/?followed")
        assert follower.stdout is not None
        assert "followed" in follower.stdout.readline()
    finally:
        follower.kill()
        follower.wait()


def test_exec_with_input_and_exit_code(shop: Shop) -> None:
    pod = shop.names("api")[0]
    assert shop.kubectl("exec", "-i", pod, "--", "cat", text="through and back\n") == "through and back\n"
    failed = shop.cluster.try_kubectl("-n", NAMESPACE, "exec", pod, "--", "python3", "-c", "raise SystemExit(7)")
    assert failed.returncode == 7


def test_exec_with_a_terminal(shop: Shop) -> None:
    pod = shop.names("api")[0]
    line = f"kubectl -n {NAMESPACE} exec -it {pod} -- python3 -c 'import sys; print(sys.stdin.isatty())'"
    done = subprocess.run(
        ["script", "-qec", line, "/dev/null"],
        capture_output=True,
        text=True,
        env=shop.cluster.environment,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert "True" in done.stdout


def test_port_forward(shop: Shop) -> None:
    forward = shop.cluster.start("-n", NAMESPACE, "port-forward", "service/frontend", "18080:80")
    try:
        assert forward.stdout is not None
        assert "Forwarding from" in forward.stdout.readline()
        for _ in range(3):
            assert fetch("http://127.0.0.1:18080/")["greeting"] == "Welcome to the shop"
    finally:
        forward.send_signal(signal.SIGINT)
        forward.wait(10)


def test_copy_there_and_back(shop: Shop, tmp_path: Path) -> None:
    pod = shop.names("store")[0]
    (tmp_path / "there.txt").write_text("a file\n" * 1000)
    shop.kubectl("cp", str(tmp_path / "there.txt"), f"{pod}:/data/there.txt")
    shop.kubectl("cp", f"{pod}:/data/there.txt", str(tmp_path / "back.txt"))
    assert (tmp_path / "back.txt").read_text() == "a file\n" * 1000


def test_the_ways_to_look_at_it(shop: Shop) -> None:
    wide = shop.kubectl("get", "pods", "-o", "wide")
    assert re.search(r"^api-\S+\s+1/1\s+Running\s+0\s+\S+\s+10\.\d+\.\d+\.\d+\s+node-1", wide, re.M), wide
    assert "kind: Deployment" in shop.kubectl("get", "deployment", "api", "-o", "yaml")
    assert shop.kubectl("get", "deployment", "api", "-o", "jsonpath={.status.readyReplicas}") == "2"
    described = shop.kubectl("describe", "pod", shop.names("api")[0])
    for text in ("Successfully assigned", "Container started", "wait-for-redis", "Liveness:", "QoS Class:"):
        assert text in described, described
    assert "NewReplicaSet" in shop.kubectl("describe", "deployment", "api")
    assert "Endpoints:" in shop.kubectl("describe", "service", "frontend")
    explained = shop.kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert "maxSurge" in explained
    assert "maxUnavailable" in explained


def test_scaling(shop: Shop) -> None:
    shop.kubectl("scale", "deployment/api", "--replicas=4")
    shop.ready("api")
    assert len(shop.names("api")) == 4
    pods = eventually(lambda: _answering(shop, 4))
    assert len(pods) == 4
    shop.kubectl("scale", "deployment/api", "--replicas=2")
    eventually(lambda: len(shop.names("api")) == 2)


def _answering(shop: Shop, count: int) -> set[object] | None:
    found = {fetch(f"http://{shop.service_address}/")["pod"] for _ in range(40)}
    return found if len(found) == count else None


class Load:
    """Requests without a pause from several threads until it is stopped."""

    def __init__(self, url: str, threads: int = 4) -> None:
        self.url = url
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(str(fetch(self.url)["version"]))
            except Exception as error:  # every kind of failure counts
                self.failures.append(repr(error))
            time.sleep(0.005)


def test_a_rolling_update_under_load_fails_no_request(shop: Shop) -> None:
    with Load(f"http://{shop.service_address}/") as load:
        eventually(lambda: len(load.answers) > 50)
        shop.kubectl("set", "env", "deployment/api", "SHOP_VERSION=2")
        shop.ready("api")
        eventually(lambda: set(load.answers[-20:]) == {"2"})
    assert load.failures == []
    assert set(load.answers) == {"1", "2"}
    assert len(load.answers) > 200


def test_undo(shop: Shop) -> None:
    assert "2" in shop.kubectl("rollout", "history", "deployment/api")
    shop.kubectl("rollout", "undo", "deployment/api")
    shop.ready("api")
    eventually(lambda: {fetch(f"http://{shop.service_address}/")["version"] for _ in range(10)} == {"1"})


def test_a_killed_container_comes_back(shop: Shop) -> None:
    pod = shop.names("frontend")[0]
    before = shop.kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
    shop.cluster.try_kubectl("-n", NAMESPACE, "exec", pod, "--", "nginx", "-s", "stop", "-c", "/etc/shop/nginx.conf")
    path = "jsonpath={.status.containerStatuses[0].restartCount}"
    eventually(lambda: int(shop.kubectl("get", "pod", pod, "-o", path)) == int(before) + 1)
    shop.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=60s")
    assert fetch(f"http://{shop.service_address}/")["version"] == "1"


def test_a_deleted_pod_is_replaced(shop: Shop) -> None:
    gone = shop.names("api")[0]
    shop.kubectl("delete", "pod", gone)
    shop.ready("api")
    assert gone not in eventually(lambda: _pair(shop))


def _pair(shop: Shop) -> list[str] | None:
    names = shop.names("api")
    return names if len(names) == 2 else None


def test_a_changed_config_map_reaches_the_files(shop: Shop) -> None:
    pod = shop.names("api")[0]
    shop.kubectl("patch", "configmap", "shop-api", "--type=merge", "-p", '{"data": {"note.txt": "new"}}')
    command = ("exec", pod, "--", "cat", "/app/note.txt")
    eventually(lambda: shop.cluster.try_kubectl("-n", NAMESPACE, *command).stdout == "new")


def test_delete(shop: Shop) -> None:
    shop.kubectl("delete", "-f", str(SHOP), "--timeout=80s")
    eventually(lambda: shop.kubectl("get", "all", "-o", "name") == "")
