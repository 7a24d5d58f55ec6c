"""Pods on real containers: init containers, restarts, probes, hooks, environment, identity, limits, logs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

Make = Callable[..., str]


def shell(line: str, **more: Any) -> dict[str, Any]:
    """A container `main` of busybox that runs a line of shell."""
    return {"name": "main", "image": "busybox:1.35", "command": ["sh", "-c", line], **more}


def one(line: str = "sleep infinity", spec: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    """The spec of a pod with one container that ends quickly when it is told to."""
    return {"terminationGracePeriodSeconds": 1, "containers": [shell(line, **container)], **(spec or {})}


def status(namespace: Namespace, name: str, container: int = 0) -> dict[str, Any]:
    states = namespace.get("pod", name)["status"].get("containerStatuses")
    assert states, f"no container of {name} has a status yet"
    return dict(states[container])


def test_init_containers_run_in_order_before_the_others(namespace: Namespace, pod: Make) -> None:
    volume = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    steps = [{**shell(f"echo {n} >> /shared/order", **volume), "name": f"step-{n}"} for n in (1, 2)]
    spec = one("echo main >> /shared/order; sleep infinity", **volume)
    name = pod("init", {**spec, "initContainers": steps, "volumes": [{"name": "shared", "emptyDir": {}}]})
    eventually(lambda: namespace.shell(name, "cat /shared/order") == "1\n2\nmain")
    states = namespace.get("pod", name)["status"]["initContainerStatuses"]
    assert [state["state"]["terminated"]["reason"] for state in states] == ["Completed", "Completed"]


def test_an_init_container_that_fails_is_tried_again_and_shown(namespace: Namespace, pod: Make) -> None:
    name = pod("init-fails", {**one(), "initContainers": [{**shell("exit 3"), "name": "step"}]}, wait="")
    eventually(lambda: "Init:CrashLoopBackOff" in namespace.kubectl("get", "pod", name))
    state = namespace.get("pod", name)["status"]["initContainerStatuses"][0]
    assert state["lastState"]["terminated"]["exitCode"] == 3
    assert "BackOff" in [reason for reason, _ in namespace.events(name)]


def test_sidecar_containers_start_before_and_outlive_the_main_one(namespace: Namespace, pod: Make) -> None:
    sidecar = {**shell("echo up; sleep infinity"), "name": "side", "restartPolicy": "Always"}
    spec = one("exit 0", {"restartPolicy": "Never", "initContainers": [sidecar]})
    name = pod("sidecar", spec, wait="jsonpath={.status.phase}=Succeeded")
    assert namespace.kubectl("logs", name, "-c", "side") == "up\n"


def test_a_crash_is_followed_by_restarts_with_back_off(namespace: Namespace, pod: Make) -> None:
    name = pod("crash", one("echo attempt; exit 42"), wait="")
    eventually(lambda: "CrashLoopBackOff" in namespace.kubectl("get", "pod", name), every=0.3)
    why = status(namespace, name)["state"]["waiting"]["message"]
    assert re.fullmatch(
        rf"back-off \d+s restarting failed container=main pod={name}_{namespace.name}\([0-9a-f-]+\)", why
    )
    eventually(lambda: status(namespace, name)["restartCount"] >= 2)
    assert status(namespace, name)["lastState"]["terminated"]["exitCode"] == 42
    assert namespace.kubectl("logs", name, "--previous") == "attempt\n"
    assert namespace.field(f"pod/{name}", "{.status.phase}") == "Running"


@pytest.mark.parametrize(("policy", "code", "phase"), [("Never", 0, "Succeeded"), ("Never", 1, "Failed")])
def test_pods_that_end(namespace: Namespace, pod: Make, policy: str, code: int, phase: str) -> None:
    spec = one(f"echo bye > /dev/termination-log; exit {code}", {"restartPolicy": policy})
    name = pod(f"ends-{code}", spec, wait=f"jsonpath={{.status.phase}}={phase}")
    assert status(namespace, name)["state"]["terminated"]["exitCode"] == code
    assert status(namespace, name)["state"]["terminated"]["message"] == "bye\n"


PROBES: dict[str, dict[str, Any]] = {
    "exec": {"exec": {"command": ["test", "-e", "/tmp/well"]}},
    "http": {"httpGet": {"path": "/well", "port": 8000}},
    "tcp": {"tcpSocket": {"port": 8000}},
}
SERVER = "cd /tmp; touch well; while :; do python3 -m http.server 8000; while [ -e gone ]; do sleep 0.1; done; done"
SPOIL = {"exec": "rm /tmp/well", "http": "rm /tmp/well", "tcp": "touch /tmp/gone; kill $(pidof python3)"}
MEND = {"exec": "touch /tmp/well", "http": "touch /tmp/well", "tcp": "rm /tmp/gone"}


def _probed(kind: str, **probes: Any) -> dict[str, Any]:
    line = "touch /tmp/well; sleep infinity" if kind == "exec" else SERVER
    return one(line, image="python:3.11", **probes)


@pytest.mark.parametrize("kind", PROBES)
def test_readiness_follows_the_probe(namespace: Namespace, pod: Make, kind: str) -> None:
    probe = {**PROBES[kind], "periodSeconds": 1, "failureThreshold": 1}
    name = pod(f"ready-{kind}", _probed(kind, readinessProbe=probe))
    namespace.shell(name, SPOIL[kind])
    namespace.kubectl("wait", "--for=condition=Ready=false", f"pod/{name}", "--timeout=30s")
    assert status(namespace, name)["restartCount"] == 0
    namespace.shell(name, MEND[kind])
    namespace.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def test_a_failing_liveness_probe_restarts_the_container(namespace: Namespace, pod: Make) -> None:
    probe = {**PROBES["exec"], "periodSeconds": 1, "failureThreshold": 2}
    name = pod("alive", _probed("exec", livenessProbe=probe))
    namespace.shell(name, "rm /tmp/well")
    eventually(lambda: status(namespace, name)["restartCount"] == 1)
    namespace.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    said = dict(namespace.events(name))
    assert said["Killing"] == "Container main failed liveness probe, will be restarted"
    assert said["Unhealthy"].startswith("Liveness probe failed:")


def test_a_startup_probe_holds_the_others_back(namespace: Namespace, pod: Make) -> None:
    startup = {**PROBES["exec"], "periodSeconds": 1, "failureThreshold": 60}
    liveness = {"exec": {"command": ["test", "-e", "/tmp/well"]}, "periodSeconds": 1, "failureThreshold": 1}
    name = pod("startup", one("sleep infinity", startupProbe=startup, livenessProbe=liveness), wait="")
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Running", f"pod/{name}", "--timeout=30s")
    time.sleep(2.5)  # long enough for a liveness probe to have failed, were it not held back
    assert status(namespace, name)["restartCount"] == 0
    assert status(namespace, name)["started"] is False
    namespace.shell(name, "touch /tmp/well")
    namespace.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def test_hooks_run_after_the_start_and_before_the_end(namespace: Namespace, pod: Make) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started > /shared/start"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping > /shared/stop"]}},
    }
    volume = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    host = {"name": "shared", "hostPath": {"path": "/tmp/kijabi-e2e-hooks", "type": "DirectoryOrCreate"}}
    watcher = pod("hooks-watcher", {**one(**volume), "volumes": [host]})
    namespace.shell(watcher, "rm -f /shared/*")
    name = pod("hooks", {**one(lifecycle=hooks, **volume), "volumes": [host]})
    assert namespace.shell(watcher, "cat /shared/start") == "started"
    namespace.kubectl("delete", "pod", name, "--timeout=30s")
    assert namespace.shell(watcher, "cat /shared/stop; rm /shared/*") == "stopping"
    namespace.cluster.run_here("rm", "-rf", "/tmp/kijabi-e2e-hooks")


def test_a_pod_gets_sigterm_and_its_grace_and_no_more(namespace: Namespace, pod: Make) -> None:
    polite = pod(
        "polite", {**one("trap 'exit 0' TERM; while :; do sleep 0.1; done"), "terminationGracePeriodSeconds": 60}
    )
    stubborn = pod("stubborn", {**one("trap '' TERM; while :; do sleep 0.1; done"), "terminationGracePeriodSeconds": 2})
    began = time.monotonic()
    namespace.kubectl("delete", "pod", polite, "--timeout=30s")
    assert time.monotonic() - began < 20
    began = time.monotonic()
    namespace.kubectl("delete", "pod", stubborn, "--timeout=30s")
    assert 1.5 < time.monotonic() - began < 20


def test_environment_of_every_source(namespace: Namespace, pod: Make) -> None:
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "cm"},
            "data": {"COLOR": "blue", "shape": "round"},
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec"}, "stringData": {"WORD": "hush"}},
    )
    field = lambda path: {"valueFrom": {"fieldRef": {"fieldPath": path}}}  # noqa: E731
    env = [
        {"name": "PLAIN", "value": "x"},
        {"name": "EXPANDED", "value": "$(PLAIN)-$$(PLAIN)"},
        {"name": "SHAPE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "shape"}}},
        {"name": "MISSING", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "none", "optional": True}}},
        {"name": "NODE", **field("spec.nodeName")},
        {"name": "POD", **field("metadata.name")},
        {"name": "LABEL", **field("metadata.labels['tier']")},
        {"name": "ACCOUNT", **field("spec.serviceAccountName")},
        {"name": "IP", **field("status.podIP")},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    sources = [{"configMapRef": {"name": "cm"}, "prefix": "CM_"}, {"secretRef": {"name": "sec"}}]
    limits = {"limits": {"memory": "32Mi"}}
    name = pod("env", one(env=env, envFrom=sources, resources=limits), labels={"tier": "front"})
    found = dict(line.split("=", 1) for line in namespace.shell(name, "env").splitlines() if "=" in line)
    assert found["EXPANDED"] == "x-$(PLAIN)"
    expected = {"SHAPE": "round", "CM_COLOR": "blue", "WORD": "hush", "NODE": "node-1", "POD": "env"}
    expected |= {"LABEL": "front", "ACCOUNT": "default", "MEMORY": "32", "KUBERNETES_SERVICE_PORT": "443"}
    assert {key: found[key] for key in expected} == expected
    assert found["IP"] == namespace.field("pod/env", "{.status.podIP}")
    assert "MISSING" not in found


def test_a_missing_config_map_keeps_the_container_waiting(namespace: Namespace, pod: Make) -> None:
    name = pod("lacks", one(envFrom=[{"configMapRef": {"name": "not-there"}}]), wait="")
    eventually(lambda: "CreateContainerConfigError" in namespace.kubectl("get", "pod", name))
    assert status(namespace, name)["state"]["waiting"]["message"] == 'configmap "not-there" not found'
    namespace.kubectl("create", "configmap", "not-there", "--from-literal=a=b")
    namespace.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def test_users_and_a_read_only_root(namespace: Namespace, pod: Make) -> None:
    context = {"runAsUser": 1234, "runAsGroup": 2345, "readOnlyRootFilesystem": True}
    context |= {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    volumes = {"volumes": [{"name": "v", "emptyDir": {}}], "securityContext": {"fsGroup": 3456}}
    mounts = [{"name": "v", "mountPath": "/v"}]
    name = pod("user", {**one(securityContext=context, volumeMounts=mounts), **volumes})
    assert namespace.shell(name, "id -u; id -g; id -G").split() == ["1234", "2345", "2345", "3456"]
    assert "Read-only file system" in namespace.shell(name, "touch /x 2>&1 || true")
    assert namespace.shell(name, "touch /v/x && stat -c %g /v/x") == "3456"
    assert namespace.shell(name, "grep CapEff /proc/self/status").split()[1] == "0" * 16


def test_run_as_non_root_is_enforced(namespace: Namespace, pod: Make) -> None:
    name = pod("root", one(securityContext={"runAsNonRoot": True}), wait="")
    eventually(lambda: "CreateContainerConfigError" in namespace.kubectl("get", "pod", name))
    assert "image will run as root" in status(namespace, name)["state"]["waiting"]["message"]


def test_limits_become_cgroups(namespace: Namespace, pod: Make) -> None:
    resources = {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"cpu": "250m", "memory": "48Mi"}}
    name = pod("limits", one(resources=resources))
    read = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    assert namespace.shell(name, read) == str(48 << 20)
    quota = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max"
    assert namespace.shell(name, quota) == "25000"
    assert namespace.field(f"pod/{name}", "{.status.qosClass}") == "Burstable"


def test_too_much_memory_is_oomkilled(namespace: Namespace, pod: Make) -> None:
    spec = one(
        "x = bytearray(256 << 20)",
        {"restartPolicy": "Never"},
        image="python:3.11",
        resources={"limits": {"memory": "32Mi"}},
    )
    spec["containers"][0]["command"] = ["python3", "-c", "x = b'x' * (256 << 20)"]
    name = pod("oom", spec, wait="jsonpath={.status.phase}=Failed")
    ended = status(namespace, name)["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_host_network_and_host_ports(namespace: Namespace, cluster: Cluster, pod: Make) -> None:
    host = pod("hostnet", {**one(), "hostNetwork": True})
    assert namespace.field(f"pod/{host}", "{.status.podIP}") == namespace.field(f"pod/{host}", "{.status.hostIP}")
    assert "eth0" in namespace.shell(host, "ls /sys/class/net")
    ports = [{"containerPort": 8000, "hostPort": 28123}]
    pod(
        "hostport",
        one("cd /tmp; echo through > index.html; python3 -m http.server 8000", image="python:3.11", ports=ports),
    )
    eventually(
        lambda: cluster.run_here("curl", "-s", "--max-time", "3", "http://127.0.0.1:28123/").strip() == "through"
    )
    name = pod("hostport-2", one(ports=ports), wait="")
    eventually(lambda: "didn't have free ports" in str(namespace.events(name)))


def test_logs_rotate_and_follow(namespace: Namespace, pod: Make) -> None:
    name = pod("logs", one("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done; sleep infinity"))
    eventually(lambda: namespace.kubectl("logs", name, "--tail=1") == "line 2000\n")
    assert len(namespace.kubectl("logs", name).splitlines()) == 2000
    stamped = namespace.kubectl("logs", name, "--timestamps", "--tail=1")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 2000", stamped)
    assert namespace.kubectl("logs", name, "--limit-bytes=6") == "line 1"
    assert namespace.kubectl("logs", name, "--since=1h", "--tail=1") == "line 2000\n"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("ClusterFirst", "svc.cluster.local"), ("Default", ""), ("None", "nameserver 192.0.2.53")],
)
def test_dns_policy(namespace: Namespace, pod: Make, policy: str, expected: str) -> None:
    spec = one(
        spec={"dnsPolicy": policy, **({"dnsConfig": {"nameservers": ["192.0.2.53"]}} if policy == "None" else {})}
    )
    found = namespace.shell(pod(f"dns-{policy.lower()}", spec), "cat /etc/resolv.conf")
    assert expected in found
    if policy == "Default":
        assert "cluster.local" not in found


def test_names_in_etc_hosts(namespace: Namespace, pod: Make) -> None:
    aliases = {"hostAliases": [{"ip": "192.0.2.7", "hostnames": ["elsewhere"]}], "hostname": "me", "subdomain": "sub"}
    name = pod("hosts", one(spec=aliases))
    found = namespace.shell(name, "cat /etc/hosts; hostname")
    assert "192.0.2.7\telsewhere" in found
    assert f"me.sub.{namespace.name}.svc.cluster.local" in found
    assert found.splitlines()[-1] == "me"


def test_attach_and_ephemeral_containers(namespace: Namespace, pod: Make) -> None:
    name = pod("attach", one("while read line; do echo got $line; done; sleep infinity", stdin=True))
    attached = namespace.cluster.start("-n", namespace.name, "attach", "-i", name)
    try:
        assert attached.stdin is not None
        assert attached.stdout is not None
        attached.stdin.write("hello\n")
        attached.stdin.flush()
        while "got hello" not in (line := attached.stdout.readline()):
            assert line
    finally:
        attached.kill()
        attached.wait()
    namespace.kubectl(
        "debug", name, "--image=busybox:1.35", "--container=look", "--", "sh", "-c", "echo seen; sleep 300"
    )
    eventually(lambda: namespace.kubectl("logs", name, "-c", "look") == "seen\n")


def test_a_pod_of_a_file_is_what_describe_shows(namespace: Namespace, pod: Make) -> None:
    name = pod("shown", one(), labels={"a": "b"}, annotations={"note": json.dumps({"x": 1})})
    text = namespace.kubectl("describe", "pod", name)
    for part in ("Labels:           a=b", "Status:           Running", "QoS Class:                   BestEffort"):
        assert part in text, text
