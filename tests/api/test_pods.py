"""Pods: classes of service, gates, what updates may change, how far a status may go back, warnings."""

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.pod import RESOURCE, Pod
from kijabi.api.core.pod_rules import qos_class
from tests.api.writes import Refused, create, stored, update


def pod(name: str = "web", **spec: Any) -> dict[str, Any]:
    """A valid pod but for what is given."""
    whole = {"containers": [{"name": "app", "image": "web:1"}]} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}


def container(name: str = "app", **more: Any) -> dict[str, Any]:
    """A valid container but for what is given."""
    return {"name": name, "image": "web:1"} | more


def asking(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> dict[str, Any]:
    """A container that asks for something."""
    return container(resources={"requests": requests or {}, "limits": limits or {}})


BOTH = {"cpu": "1", "memory": "1Gi"}
CLASSES = [
    ([asking()], "BestEffort"),
    ([asking({"ephemeral-storage": "1Gi"})], "BestEffort"),
    ([asking({"cpu": "0"})], "BestEffort"),
    ([asking(BOTH, BOTH)], "Guaranteed"),
    ([asking(None, BOTH)], "Guaranteed"),
    ([asking({"cpu": "1000m", "memory": "1024Mi"}, BOTH)], "Guaranteed"),
    ([asking({"cpu": "1"}, {"cpu": "1"})], "Burstable"),
    ([asking({"cpu": "1"})], "Burstable"),
    ([asking({"cpu": "500m", "memory": "1Gi"}, BOTH)], "Burstable"),
    ([asking(BOTH, BOTH), container("b")], "Burstable"),
    ([asking(BOTH, BOTH), asking(BOTH, BOTH) | {"name": "b"}], "Guaranteed"),
]


@pytest.mark.parametrize(("containers", "wanted"), CLASSES)
def test_class_of_service(containers: list[dict[str, Any]], wanted: str) -> None:
    assert create(pod(containers=containers)).status.qosClass == wanted


def test_the_whole_pod_may_ask() -> None:
    assert create(pod(resources={"limits": BOTH})).status.qosClass == "Guaranteed"
    obj = create(pod(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}))
    assert obj.status.qosClass == "Burstable"


def test_init_containers_count() -> None:
    spec = pod(containers=[asking(BOTH, BOTH)], initContainers=[container("init")])["spec"]
    assert qos_class(codec.from_builtins(Pod, {"spec": spec}).spec) == "Burstable"


def test_a_new_pod_waits() -> None:
    obj = create(pod() | {"status": {"phase": "Running", "podIP": "1.2.3.4"}})
    assert (obj.status.phase, obj.status.podIP, obj.metadata.generation) == ("Pending", "", 1)


def test_gates_hold_a_pod_back() -> None:
    obj = create(pod(schedulingGates=[{"name": "example.com/quota"}]))
    (condition,) = obj.status.conditions
    assert (condition.type, condition.status, condition.reason) == ("PodScheduled", "False", "SchedulingGated")
    with pytest.raises(Refused, match="cannot be set until all schedulingGates have been cleared"):
        create(pod(schedulingGates=[{"name": "example.com/quota"}], nodeName="n1"))


def test_selectors_take_the_pod_s_own_labels() -> None:
    spread = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": ["pod-template-hash", "absent"],
    }
    value = pod(topologySpreadConstraints=[spread])
    value["metadata"]["labels"] = {"pod-template-hash": "abc"}
    (term,) = create(value).spec.topologySpreadConstraints[0].labelSelector.matchExpressions
    assert (term.key, term.operator, term.values) == ("pod-template-hash", "In", ("abc",))


CHANGES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    # (before, after, allowed)
    ({}, {"containers": [container(image="web:2")]}, True),
    ({}, {"containers": [container(image="")]}, False),
    ({}, {"containers": [container(), container("b")]}, False),
    ({}, {"containers": [container(command=["x"])]}, False),
    ({}, {"activeDeadlineSeconds": 10}, True),
    ({"activeDeadlineSeconds": 10}, {"activeDeadlineSeconds": 5}, True),
    ({"activeDeadlineSeconds": 10}, {"activeDeadlineSeconds": 11}, False),
    ({"activeDeadlineSeconds": 10}, {}, False),
    ({}, {"tolerations": [{"key": "a", "operator": "Exists"}]}, True),
    ({"tolerations": [{"key": "a", "operator": "Exists"}]}, {}, False),
    ({"schedulingGates": [{"name": "a"}, {"name": "b"}]}, {"schedulingGates": [{"name": "b"}]}, True),
    ({"schedulingGates": [{"name": "a"}]}, {"schedulingGates": [{"name": "a"}, {"name": "b"}]}, False),
    ({"schedulingGates": [{"name": "a"}]}, {"schedulingGates": [{"name": "a"}], "nodeSelector": {"x": "y"}}, True),
    (
        {"schedulingGates": [{"name": "a"}], "nodeSelector": {"x": "y"}},
        {"schedulingGates": [{"name": "a"}], "nodeSelector": {"x": "z"}},
        False,
    ),
    ({}, {"nodeSelector": {"x": "y"}}, False),
    ({}, {"nodeName": "n1"}, False),
]


@pytest.mark.parametrize(("before", "after", "allowed"), CHANGES)
def test_what_an_update_may_change(before: dict[str, Any], after: dict[str, Any], allowed: bool) -> None:
    old = stored(pod(**before))
    new = stored(pod(**before))
    new["spec"] = {name: item for name, item in new["spec"].items() if name not in before} | after
    try:
        obj = update(new, old)
    except Refused:
        assert not allowed
    else:
        assert allowed
        assert obj.metadata.generation == 2


def test_a_refused_change_is_shown() -> None:
    old = stored(pod())
    new = old | {"spec": old["spec"] | {"hostname": "other"}}
    with pytest.raises(Refused) as refused:
        update(new, old)
    text = str(refused.value)
    assert text.startswith('Pod "web" is invalid: spec: Forbidden: pod updates may not change fields other than ')
    assert '\n- "Hostname": "",\n+ "Hostname": "other",\n' in text


def ended(code: int, policy: str, *, own: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pod whose container ended, and the same with the container running again."""
    containers = [container(restartPolicy=own) if own else container()]
    state = {"name": "app", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    values = []
    states: list[dict[str, Any]] = [{"terminated": {"exitCode": code}}, {"running": {}}]
    for found in states:
        values.append(
            stored(pod(restartPolicy=policy, containers=containers), {"containerStatuses": [state | {"state": found}]})
        )
    return values[0], values[1]


@pytest.mark.parametrize(
    ("code", "policy", "own", "allowed"),
    [
        (1, "Always", None, True),
        (0, "OnFailure", None, False),
        (1, "OnFailure", None, True),
        (1, "Never", None, False),
        (1, "Never", "OnFailure", True),
        (0, "Never", "OnFailure", False),
    ],
)
def test_ended_containers_come_back_only_if_they_may(code: int, policy: str, own: str | None, allowed: bool) -> None:
    old, new = ended(code, policy, own=own)
    if allowed:
        update(new, old, "status")
    else:
        with pytest.raises(Refused, match="may not be transitioned to non-terminated state"):
            update(new, old, "status")


def test_the_class_of_service_stays() -> None:
    old = stored(pod(), {"qosClass": "BestEffort"})
    with pytest.raises(Refused, match=r"status.qosClass: Invalid value: \"Burstable\": field is immutable"):
        update(old | {"status": {"qosClass": "Burstable"}}, old, "status")
    assert update(old | {"status": {}}, old, "status").status.qosClass == "BestEffort"


WARNED = [
    (pod("web.1"), "metadata.name: this is used in the Pod's hostname"),
    (pod(nodeSelector={"beta.kubernetes.io/os": "linux"}), "spec.nodeSelector[beta.kubernetes.io/os]: deprecated"),
    (pod(imagePullSecrets=[{"name": "a"}, {"name": "a"}]), 'spec.imagePullSecrets[1].name: duplicate name "a"'),
    (
        pod(containers=[asking({"memory": "100m"})]),
        'spec.containers[0].resources.requests[memory]: fractional byte value "100m"',
    ),
    (
        pod(containers=[container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])]),
        'spec.containers[0].env[1]: hides previous definition of "A"',
    ),
    (
        pod(containers=[container(ports=[{"containerPort": 80}]), container("b", ports=[{"containerPort": 80}])]),
        "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
    ),
    (
        pod(containers=[container(ports=[{"containerPort": 80, "hostIP": "127.0.0.1"}])]),
        "spec.containers[0].ports[0]: hostIP set without hostPort: "
        "{Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:127.0.0.1}",
    ),
    (
        pod(
            volumes=[
                {
                    "name": "v",
                    "configMap": {"name": "c", "items": [{"key": "a", "path": "x"}, {"key": "b", "path": "x/y"}]},
                }
            ]
        ),
        'volume "v" (ConfigMap "c"): overlapping paths: "x/y" with "x"',
    ),
    (
        pod(hostAliases=[{"ip": "2001:DB8::1", "hostnames": ["a"]}]),
        'spec.hostAliases[0].ip: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")',
    ),
    (pod(terminationGracePeriodSeconds=30), ""),
]


@pytest.mark.parametrize(("value", "text"), WARNED)
def test_warnings(value: dict[str, Any], text: str) -> None:
    found = RESOURCE.warnings(create(value))
    if text:
        assert any(each.startswith(text) for each in found), found
    else:
        assert not found


def test_variables_may_build_on_each_other() -> None:
    env = [{"name": "PATH", "value": "/a"}, {"name": "PATH", "value": "$(PATH):/b"}]
    assert not RESOURCE.warnings(create(pod(containers=[container(env=env)])))


PULLS = [
    ("web", "Always"),
    ("web:latest", "Always"),
    ("example.com:5000/a/web", "Always"),
    ("web:1", "IfNotPresent"),
    ("web@sha256:" + "0" * 64, "IfNotPresent"),
    ("web:latest@sha256:" + "0" * 64, "Always"),
    ("Not_An_Image", "IfNotPresent"),
    ("a" * 64, "IfNotPresent"),
    ("b" * 300, "IfNotPresent"),
]


@pytest.mark.parametrize(("image", "policy"), PULLS)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert create(pod(containers=[container(image=image)])).spec.containers[0].imagePullPolicy == policy


def test_defaults() -> None:
    obj = create(
        pod(
            hostNetwork=True,
            containers=[
                container(
                    ports=[{"containerPort": 80}],
                    livenessProbe={"httpGet": {"port": 80}},
                    resources={"limits": {"cpu": "1"}},
                )
            ],
        )
    )
    spec, (one,) = obj.spec, obj.spec.containers
    assert (spec.restartPolicy, spec.dnsPolicy, spec.schedulerName) == ("Always", "ClusterFirst", "default-scheduler")
    assert (spec.terminationGracePeriodSeconds, spec.enableServiceLinks) == (30, True)
    assert (one.terminationMessagePath, one.terminationMessagePolicy) == ("/dev/termination-log", "File")
    assert (one.ports[0].protocol, one.ports[0].hostPort) == ("TCP", 80)
    assert one.resources.requests == {"cpu": "1"}
    probe = one.livenessProbe
    assert (probe.timeoutSeconds, probe.periodSeconds, probe.successThreshold, probe.failureThreshold) == (1, 10, 1, 3)
    assert (probe.httpGet.path, probe.httpGet.scheme) == ("/", "HTTP")
