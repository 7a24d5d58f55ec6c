"""What goes wrong is said as Kubernetes says it: images, commands, scheduling, bad objects, kubectl's own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import pod_object
from tests.e2e.test_pods import one, status
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

Make = Callable[..., str]


def _waiting(namespace: Namespace, name: str) -> dict[str, Any]:
    return dict(status(namespace, name)["state"].get("waiting", {}))


def test_an_image_that_does_not_exist(namespace: Namespace, pod: Make) -> None:
    name = pod("noimage", one(image="localhost:1/nothing:here"), wait="")
    eventually(lambda: any(reason == "Failed" for reason, _ in namespace.events(name)))
    said = [message for reason, message in namespace.events(name) if reason == "Failed"]
    assert any(message.startswith('Failed to pull image "localhost:1/nothing:here": ') for message in said)
    assert "Error: ErrImagePull" in said
    eventually(lambda: _waiting(namespace, name).get("reason") == "ImagePullBackOff")
    assert 'Back-off pulling image "localhost:1/nothing:here"' in _waiting(namespace, name)["message"]
    assert "ImagePullBackOff" in namespace.kubectl("get", "pod", name)


def test_an_image_that_must_be_there_and_is_not(namespace: Namespace, pod: Make) -> None:
    name = pod("never", one(image="not/there:1", imagePullPolicy="Never"), wait="")
    eventually(lambda: _waiting(namespace, name).get("reason") == "ErrImageNeverPull")
    assert (
        _waiting(namespace, name)["message"] == 'Container image "not/there:1" is not present with pull policy of Never'
    )


def test_a_name_that_is_no_image(namespace: Namespace, pod: Make) -> None:
    name = pod("badimage", one(image="x/UPPER"), wait="")
    eventually(lambda: _waiting(namespace, name).get("reason") == "InvalidImageName")
    assert _waiting(namespace, name)["message"] == (
        'Failed to apply default image tag "x/UPPER": couldn\'t parse image name "x/UPPER": '
        "invalid reference format: repository name (x/UPPER) must be lowercase"
    )


def test_a_command_that_does_not_exist(namespace: Namespace, pod: Make) -> None:
    spec = one()
    spec["containers"][0]["command"] = ["/no/such/program"]
    name = pod("nocommand", spec, wait="")

    def failed() -> dict[str, Any] | None:
        found = status(namespace, name)
        ended = found["state"].get("terminated") or found["lastState"].get("terminated")
        return dict(ended) if ended else None

    ended = eventually(failed)
    assert ended["exitCode"] == 128
    assert ended["reason"] == "StartError"
    assert "/no/such/program" in ended["message"]
    eventually(lambda: any(reason == "Failed" for reason, _ in namespace.events(name)))


def test_a_pod_that_fits_nowhere(namespace: Namespace, pod: Make) -> None:
    name = pod("huge", one(resources={"requests": {"cpu": "1000"}}), wait="")
    eventually(lambda: namespace.events(name))
    reason, message = namespace.events(name)[0]
    assert reason == "FailedScheduling"
    assert message.startswith("0/1 nodes are available: 1 Insufficient cpu.")
    assert "Pending" in namespace.kubectl("get", "pod", name)
    condition = namespace.get("pod", name)["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert "Insufficient cpu" in condition["message"]
    problems = namespace.cluster.kijabi("status", check=False).stdout
    assert f"pod {namespace.name}/{name}: Unschedulable: 0/1 nodes are available" in problems


def test_a_selector_that_no_node_has(namespace: Namespace, pod: Make) -> None:
    name = pod("selective", one(spec={"nodeSelector": {"disk": "golden"}}), wait="")
    eventually(lambda: namespace.events(name))
    assert "1 node(s) didn't match Pod's node affinity/selector" in namespace.events(name)[0][1]
    namespace.cluster.kubectl("label", "node", "node-1", "disk=golden")
    namespace.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    namespace.cluster.kubectl("label", "node", "node-1", "disk-")


def test_unknown_fields_are_named(namespace: Namespace) -> None:
    wrong = pod_object("strict", one())
    wrong["spec"]["containers"][0]["imagePullPolicyy"] = "Always"  # type: ignore[index]
    wrong["spec"]["replicas"] = 2  # type: ignore[index]
    said = namespace.fails("create", "-f", "-", text=json.dumps(wrong))
    assert "strict decoding error" in said
    assert 'unknown field "spec.containers[0].imagePullPolicyy"' in said
    assert 'unknown field "spec.replicas"' in said
    done = namespace.try_kubectl("create", "--validate=warn", "--dry-run=server", "-f", "-", text=json.dumps(wrong))
    assert done.returncode == 0
    assert 'Warning: unknown field "spec.replicas"' in done.stderr


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"containers": []}, "spec.containers: Required value"),
    (
        {"containers": [{"name": "UP", "image": "x"}]},
        'spec.containers[0].name: Invalid value: "UP": a lowercase RFC 1123',
    ),
    ({"containers": [{"name": "x"}]}, "spec.containers[0].image: Required value"),
    ({**one(), "restartPolicy": "Sometimes"}, 'spec.restartPolicy: Unsupported value: "Sometimes": supported values: '),
    (one(volumeMounts=[{"name": "no", "mountPath": "/v"}]), 'spec.containers[0].volumeMounts[0].name: Not found: "no"'),
    (
        one(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ),
]


@pytest.mark.parametrize(("spec", "words"), INVALID)
def test_invalid_pods_are_refused_by_field(namespace: Namespace, spec: dict[str, Any], words: str) -> None:
    said = namespace.fails("create", "-f", "-", text=json.dumps(pod_object("invalid", spec)))
    assert said.startswith('The Pod "invalid" is invalid:')
    assert words in said


def test_what_is_not_there_or_there_already(namespace: Namespace) -> None:
    assert namespace.fails("get", "pod", "ghost") == 'Error from server (NotFound): pods "ghost" not found'
    assert namespace.fails("get", "ghosts") == 'error: the server doesn\'t have a resource type "ghosts"'
    namespace.kubectl("create", "configmap", "twice")
    said = namespace.fails("create", "configmap", "twice")
    assert said == 'error: failed to create configmap: configmaps "twice" already exists'
    said = namespace.cluster.try_kubectl("-n", "no-such-place", "create", "configmap", "x").stderr
    assert said.strip() == 'error: failed to create configmap: namespaces "no-such-place" not found'


def test_a_conflict_is_explained(namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "raced")
    old = namespace.kubectl("get", "configmap", "raced", "-o", "json")
    namespace.kubectl("annotate", "configmap", "raced", "a=b")
    said = namespace.fails("replace", "-f", "-", text=old)
    assert 'Operation cannot be fulfilled on configmaps "raced": the object has been modified' in said


def test_deployments_that_cannot_progress_say_so(namespace: Namespace) -> None:
    namespace.kubectl("create", "deployment", "stuck", "--image=localhost:1/nothing:here")
    namespace.kubectl("patch", "deployment", "stuck", "-p", '{"spec": {"progressDeadlineSeconds": 2}}')
    said = namespace.fails("rollout", "status", "deployment/stuck", "--timeout=60s")
    assert said == 'error: deployment "stuck" exceeded its progress deadline'
    namespace.kubectl("delete", "deployment", "stuck")


def test_logs_and_exec_of_what_does_not_run(namespace: Namespace, pod: Make) -> None:
    name = pod("waits", one(image="localhost:1/nothing:here"), wait="")
    eventually(lambda: _waiting(namespace, name).get("reason") in ("ErrImagePull", "ImagePullBackOff"))
    said = namespace.fails("logs", name)
    assert 'container "main" in pod "waits" is waiting to start: ' in said
    assert "error: unable to upgrade connection: container not found" in namespace.fails("exec", name, "--", "true")
    assert namespace.fails("logs", name, "-c", "other") == "error: container other is not valid for pod waits"


def test_bad_requests_on_the_wire(cluster: Cluster) -> None:
    done = cluster.try_kubectl("get", "--raw", "/api/v1/pods?labelSelector=%21%21")
    assert "unable to parse requirement" in done.stderr
    done = cluster.try_kubectl("get", "--raw", "/api/v1/pods?fieldSelector=spec.flavour%3Dx")
    assert "field label not supported: spec.flavour" in done.stderr
    done = cluster.try_kubectl("create", "--raw", "/api/v1/namespaces/default/pods", "-f", "-", text="{not json")
    assert done.returncode != 0
