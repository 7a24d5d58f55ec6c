"""kube-controller-manager and kube-scheduler of upstream run against our API server unchanged."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import Namespace, eventually
from tests.upstream.conftest import HOLLOW
from tests.upstream.plane import CONTROLLER_MANAGER, SCHEDULER, Plane, workload

pytestmark = [pytest.mark.built, pytest.mark.upstream]

PROTOBUF = "application/vnd.kubernetes.protobuf"


def job() -> dict[str, Any]:
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", "exit 0"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"completions": 3, "parallelism": 2, "template": {"spec": pod}}


def test_leaders_are_elected(cluster: Plane) -> None:
    for name in (CONTROLLER_MANAGER.name, SCHEDULER.name):
        lease = ("get", "lease", "-n", "kube-system", name, "-o", "jsonpath={.spec.holderIdentity}")
        eventually(lambda lease=lease: cluster.try_kubectl(*lease).stdout)  # type: ignore[misc]
        assert f'FLAG: --kube-api-content-type="{PROTOBUF}"' in cluster.log(name).read_text()


def test_workloads_converge(namespace: Namespace, cluster: Plane) -> None:
    namespace.apply(
        workload("Deployment", "web", replicas=4),
        workload("StatefulSet", "db", replicas=2, serviceName="db"),
        workload("DaemonSet", "agent"),
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": job()},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
         "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
         "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}}},
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"}, "spec": {"hard": {"pods": "50"}}},
        {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old"}, "spec": {
            "replicas": 1, "selector": {"app": "old"}, "template": {
                "metadata": {"labels": {"app": "old"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}},
    )  # fmt: skip
    for each in ("deployment/web", "statefulset/db", "daemonset/agent"):
        namespace.kubectl("rollout", "status", each, "--timeout=60s")
    namespace.kubectl("wait", "--for=condition=Complete", "job/once", "--timeout=60s")
    namespace.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=1", "rc/old", "--timeout=60s")
    namespace.kubectl("wait", "--for=jsonpath={.status.disruptionsAllowed}=1", "pdb/web", "--timeout=60s")
    eventually(lambda: len(_endpoints(namespace, "web")) == 4)
    eventually(lambda: namespace.field("quota/all", "{.status.used.pods}") == "9")
    placed = {pod["spec"]["nodeName"] for pod in namespace.get("pods")["items"]}
    assert placed == set(HOLLOW)


def _endpoints(namespace: Namespace, service: str) -> list[Any]:
    slices = namespace.get("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
    return [each for item in slices for each in item["endpoints"] or () if each["conditions"]["ready"]]


def test_changes_are_followed(namespace: Namespace) -> None:
    namespace.apply(workload("Deployment", "web", replicas=2))
    namespace.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    namespace.kubectl("set", "image", "deployment/web", "c=nginx:2")
    namespace.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    namespace.kubectl("scale", "deployment/web", "--replicas=5")
    namespace.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=5", "deployment/web", "--timeout=60s")
    images = {pod["spec"]["containers"][0]["image"] for pod in namespace.get("pods")["items"]}
    assert images == {"nginx:2"}
    namespace.kubectl("rollout", "undo", "deployment/web")
    namespace.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    namespace.kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=60s")
    assert namespace.get("pods")["items"] == []  # the garbage collector, by partial metadata


def test_what_cannot_be_placed_waits_and_is_told_why(namespace: Namespace) -> None:
    big = workload("Deployment", "big")
    big["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "9999"}}
    namespace.apply(big)
    said = eventually(lambda: [text for reason, text in _pod_events(namespace) if reason == "FailedScheduling"])
    assert said[0].startswith("0/2 nodes are available: 2 Insufficient cpu.")


def _pod_events(namespace: Namespace) -> list[tuple[str, str]]:
    found = namespace.get("events", "--field-selector=involvedObject.kind=Pod")["items"]
    return [(each["reason"], each["message"]) for each in found]


def test_volumes_are_bound(namespace: Namespace, cluster: Plane) -> None:
    """By the controller manager's volume binder and the scheduler's plug-in together."""
    kind = f"manual-{namespace.name}"
    namespace.apply(
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": kind},
         "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": kind}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": kind,
            "hostPath": {"path": "/nowhere"}}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "claim"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": kind, "resources": {"requests": {"storage": "1Gi"}}}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user"}, "spec": {
            "containers": [{"name": "c", "image": "nginx"}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "claim"}}]}},
    )  # fmt: skip
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/claim", "--timeout=60s")
    assert namespace.field("pvc/claim", "{.spec.volumeName}") == kind
    eventually(lambda: namespace.field("pod/user", "{.spec.nodeName}") in HOLLOW)
    namespace.kubectl("delete", "pod", "user", "--now")
    cluster.kubectl("delete", f"sc/{kind}", f"pv/{kind}", "--wait=false")


def test_signing_requests_are_signed(cluster: Plane, tmp_path: Path) -> None:
    """By the controller manager's approver and signer: what a kubelet does when it joins."""
    line = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    line += ["-keyout", str(tmp_path / "key"), "-subj", "/O=upstream/CN=somebody"]
    request = subprocess.run(line, capture_output=True, check=True).stdout
    signer = "kubernetes.io/kube-apiserver-client"
    spec = {"request": b64encode(request).decode(), "signerName": signer, "usages": ["client auth"]}
    names = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "up"}}
    body = {**names, "spec": spec}
    cluster.kubectl("apply", "-f", "-", text=json.dumps(body))
    cluster.kubectl("certificate", "approve", "up")
    cluster.kubectl("wait", "--for=jsonpath={.status.certificate}", "csr/up", "--timeout=30s")
    cluster.kubectl("delete", "csr", "up")


def test_nothing_in_their_logs_speaks_against_the_server(cluster: Plane) -> None:
    """So far: what comes next takes things away that they watch."""
    for name in (CONTROLLER_MANAGER.name, SCHEDULER.name):
        assert cluster.complaints(name) == []


def test_custom_resources_are_collected_and_cleaned_up(namespace: Namespace, cluster: Plane) -> None:
    """Their metadata goes over the wire in protobuf, they themselves in JSON."""
    names = {"plural": "things", "kind": "Thing"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.upstream.example"},
        "spec": {"group": "upstream.example", "scope": "Namespaced", "names": names, "versions": [version]},
    }  # fmt: skip
    namespace.apply(crd)
    cluster.kubectl("wait", "crd/things.upstream.example", "--for=condition=Established", "--timeout=30s")
    thing = {"apiVersion": "upstream.example/v1", "kind": "Thing", "metadata": {"name": "owner"}}
    namespace.apply(thing)
    uid = namespace.field("things/owner", "{.metadata.uid}")
    owner = {"apiVersion": "upstream.example/v1", "kind": "Thing", "name": "owner", "uid": uid}
    namespace.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [owner]}},
        {**thing, "metadata": {"name": "owned", "ownerReferences": [owner]}},
    )
    namespace.kubectl("delete", "thing", "owner")
    namespace.kubectl("wait", "--for=delete", "configmap/owned", "thing/owned", "--timeout=90s")
    cluster.kubectl("delete", "crd", "things.upstream.example", "--timeout=60s")


def test_a_restart_of_the_server_is_survived(namespace: Namespace, cluster: Plane) -> None:
    before = {name: cluster.processes[name].pid for name in (CONTROLLER_MANAGER.name, SCHEDULER.name)}
    cluster.stop("apiserver")
    cluster.ours("apiserver", "apiserver")
    cluster.wait_for_server()
    namespace.apply(workload("Deployment", "after", replicas=3))
    namespace.kubectl("rollout", "status", "deployment/after", "--timeout=90s")
    assert all(cluster.processes[name].poll() is None for name in before), "it gave up its lease"
