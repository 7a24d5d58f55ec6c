"""What else the kinds promise: two views of an event, secrets written as text, labels that jobs get, and their like."""

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.apps.daemonset import TEMPLATE_GENERATION
from kijabi.api.core import event as core
from kijabi.api.events import event as events
from kijabi.api.selector import parse_fields
from kijabi.base.errors import BadRequest
from tests.api.writes import Refused, create, resource_of, stored, update

TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "web:1"}]}}


def obj(version: str, kind: str, **fields: Any) -> dict[str, Any]:
    """An object as builtins; its metadata has a name if it is not given."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}} | fields


def workload(kind: str, **spec: Any) -> dict[str, Any]:
    """A workload of pods, valid but for what is given."""
    return obj("apps/v1", kind, spec={"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE} | spec)


# Events


def test_the_two_events_are_one_object() -> None:
    old = {
        "metadata": {"name": "a", "namespace": "default"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000001Z",
        "reportingController": "example.com/kubelet",
        "reportingInstance": "n1",
        "action": "Start",
        "reason": "Started",
        "note": "Started it",
        "type": "Normal",
        "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"},
        "deprecatedSource": {"component": "kubelet"},
        "deprecatedCount": 3,
    }
    there = codec.from_builtins(events.Event, old)
    stored_form = codec.to_builtins(events.up(there))
    assert stored_form["involvedObject"] == old["regarding"]
    assert (stored_form["message"], stored_form["count"]) == ("Started it", 3)
    assert stored_form["reportingComponent"] == "example.com/kubelet"
    assert events.down(events.up(there)) == there


def test_only_the_newer_api_is_strict() -> None:
    assert create(obj("v1", "Event", involvedObject={"kind": "Pod", "namespace": "default"})).reason == ""
    with pytest.raises(Refused) as refused:
        create(obj("events.k8s.io/v1", "Event", regarding={"kind": "Pod", "namespace": "default"}))
    text = str(refused.value)
    assert text.startswith('Event "web" is invalid: [eventTime: Required value, ')
    assert 'type: Invalid value: "": has invalid value: ' in text


def test_events_are_selected_by_what_they_are_about() -> None:
    found = codec.from_builtins(core.Event, {"involvedObject": {"kind": "Pod", "name": "p"}, "reason": "Started"})
    for text, wanted in (("involvedObject.kind=Pod,reason=Started", True), ("involvedObject.name!=p", False)):
        assert parse_fields(text).predicate(core.RESOURCE)(found) is wanted
    with pytest.raises(BadRequest, match=r"field label not supported: regarding\.kind"):
        parse_fields("regarding.kind=Pod").predicate(core.RESOURCE)


FIELDS = [
    (
        obj("v1", "Pod", spec={"nodeName": "n1"}, status={"phase": "Running", "podIPs": [{"ip": "1.2.3.4"}]}),
        "spec.nodeName=n1,status.phase=Running,status.podIP=1.2.3.4",
    ),
    (obj("v1", "Pod", spec={"hostNetwork": True}), "spec.hostNetwork=true,metadata.name=web,metadata.namespace="),
    (obj("v1", "Node", spec={"unschedulable": True}), "spec.unschedulable=true"),
    (obj("v1", "Namespace", status={"phase": "Active"}), "status.phase=Active"),
    (obj("v1", "Secret", type="Opaque"), "type=Opaque"),
    (obj("v1", "Service", spec={"type": "ClusterIP", "clusterIP": "None"}), "spec.clusterIP=None,spec.type=ClusterIP"),
    (obj("batch/v1", "Job", status={"succeeded": 2}), "status.successful=2"),
]


@pytest.mark.parametrize(("value", "text"), FIELDS)
def test_fields_that_select(value: dict[str, Any], text: str) -> None:
    resource = resource_of(value)
    assert parse_fields(text).predicate(resource)(codec.from_builtins(resource.type, value))


UNKNOWN = [
    ("v1", "Pod", "spec.x", "field label not supported: spec.x"),
    ("v1", "Node", "metadata.namespace", "field label not supported: metadata.namespace"),
    ("batch/v1", "Job", "spec.x", 'field label "spec.x" not supported for Job'),
    (
        "apps/v1",
        "ReplicaSet",
        "status.replicas",
        '"status.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"',
    ),
]


@pytest.mark.parametrize(("version", "kind", "field", "text"), UNKNOWN)
def test_fields_that_do_not(version: str, kind: str, field: str, text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_fields(f"{field}=x").predicate(resource_of(obj(version, kind)))
    assert refused.value.message == text


# Secrets and config maps


def test_secrets_may_be_written_as_text() -> None:
    made = create(obj("v1", "Secret", data={"a": "YQ==", "b": "Yg=="}, stringData={"b": "new"}))
    assert (made.data, made.stringData, made.type) == ({"a": b"a", "b": b"new"}, {}, "Opaque")


@pytest.mark.parametrize(("kind", "data"), [("ConfigMap", "1"), ("Secret", "MQ==")])
def test_what_is_immutable_stays(kind: str, data: str) -> None:
    old = stored(obj("v1", kind, data={"a": data}, immutable=True))
    assert update(old, old)
    for change in ({"data": {"a": "Mg=="}}, {"immutable": False}):
        with pytest.raises(Refused, match="field is immutable when `immutable` is set"):
            update(old | change, old)


# Workloads


def test_an_annotation_is_news_for_the_deployment_controller() -> None:
    old = stored(workload("Deployment"))
    new = old | {"metadata": old["metadata"] | {"annotations": {"deployment.kubernetes.io/revision": "2"}}}
    assert update(new, old).metadata.generation == 2
    assert update(old, old).metadata.generation == 1


def test_deployment_defaults() -> None:
    spec = create(workload("Deployment")).spec
    assert (spec.replicas, spec.revisionHistoryLimit, spec.progressDeadlineSeconds) == (1, 10, 600)
    assert (spec.strategy.type, spec.strategy.rollingUpdate.maxSurge) == ("RollingUpdate", "25%")


def test_selectors_stay() -> None:
    old = stored(workload("Deployment"))
    wider = {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}
    with pytest.raises(Refused, match=r"spec.selector: Invalid value: .*: field is immutable"):
        update(old | {"spec": old["spec"] | wider}, old)


def test_daemon_sets_count_their_templates() -> None:
    made = create(workload("DaemonSet"))
    assert made.metadata.annotations[TEMPLATE_GENERATION] == "1"
    old = stored(workload("DaemonSet"))
    new = codec.to_builtins(
        create(workload("DaemonSet", template=TEMPLATE | {"metadata": {"labels": {"app": "web", "v": "2"}}}))
    )
    new["metadata"] = old["metadata"]
    assert update(new, old).metadata.annotations[TEMPLATE_GENERATION] == "2"
    assert update(old, old).metadata.annotations[TEMPLATE_GENERATION] == "1"


def test_jobs_select_their_pods_by_themselves() -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}
    spec = create(obj("batch/v1", "Job", spec={"template": {"spec": pod}})).spec
    uid = spec.selector.matchLabels["batch.kubernetes.io/controller-uid"]
    assert uid
    assert spec.template.metadata.labels == {
        "job-name": "web",
        "batch.kubernetes.io/job-name": "web",
        "controller-uid": uid,
        "batch.kubernetes.io/controller-uid": uid,
    }
    labels = {"metadata": {"labels": {"job-name": "other"}}}
    with pytest.raises(Refused, match=r"labels\[job-name\]: Invalid value: .*: must be 'web'"):
        create(obj("batch/v1", "Job", spec={"template": {"spec": pod} | labels}))


# Storage and the rest


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def test_sources_of_claims_stand_in_two_fields() -> None:
    old_way = create(
        obj("v1", "PersistentVolumeClaim", spec=CLAIM | {"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"}})
    )
    assert (old_way.spec.dataSourceRef.kind, old_way.spec.dataSourceRef.name) == ("PersistentVolumeClaim", "a")
    ref = {"apiGroup": "example.com", "kind": "Book", "name": "b"}
    new_way = create(obj("v1", "PersistentVolumeClaim", spec=CLAIM | {"dataSourceRef": ref}))
    assert (new_way.spec.dataSource.apiGroup, new_way.spec.dataSource.name) == ("example.com", "b")
    assert create(obj("v1", "PersistentVolumeClaim", spec=CLAIM | {"dataSource": ref})).spec.dataSource is None


def test_bound_claims_may_grow() -> None:
    old = stored(obj("v1", "PersistentVolumeClaim", spec=CLAIM), {"phase": "Bound", "capacity": {"storage": "1Gi"}})

    def sized(text: str) -> dict[str, Any]:
        return old | {"spec": old["spec"] | {"resources": {"requests": {"storage": text}}}}

    assert update(sized("2Gi"), old).spec.resources.requests == {"storage": "2Gi"}
    with pytest.raises(Refused, match=r"field can not be less than status\.capacity"):
        update(sized("1Mi"), old)


def test_namespaces_carry_their_name() -> None:
    made = create(obj("v1", "Namespace"))
    assert made.metadata.labels == {"kubernetes.io/metadata.name": "web"}
    assert (made.spec.finalizers, made.status.phase) == (("kubernetes",), "Active")


def test_a_node_comes_with_its_status() -> None:
    made = create(obj("v1", "Node", spec={"podCIDR": "10.1.0.0/24"}, status={"capacity": {"cpu": "4"}}))
    assert made.status.allocatable == made.status.capacity == {"cpu": "4"}
    assert made.spec.podCIDRs == ("10.1.0.0/24",)


def test_slices_notice_labels() -> None:
    old = stored(obj("discovery.k8s.io/v1", "EndpointSlice", addressType="IPv4", endpoints=[]))
    labelled = old | {"metadata": old["metadata"] | {"labels": {"kubernetes.io/service-name": "web"}}}
    assert update(labelled, old).metadata.generation == 2


def test_limits_fill_each_other() -> None:
    limit = {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}
    (made,) = create(obj("v1", "LimitRange", spec={"limits": [limit]})).spec.limits
    assert (made.default, made.defaultRequest) == ({"cpu": "2"}, {"cpu": "2", "memory": "1Mi"})
    assert create(obj("v1", "LimitRange", spec={"limits": []}) | {"metadata": {}}).metadata.name


SYSTEM = [
    ("system-node-critical", 2000001000, ""),
    ("system-node-critical", 5, "value of system-node-critical PriorityClass must be 2000001000"),
    ("system-mine", 5, "system-mine is not a known system priority class"),
    ("mine", 1000000001, "maximum allowed value of a user defined priority is 1000000000"),
    ("mine", 1000000000, ""),
]


@pytest.mark.parametrize(("name", "value", "text"), SYSTEM)
def test_the_highest_priorities_are_the_system_s(name: str, value: int, text: str) -> None:
    wanted = obj("scheduling.k8s.io/v1", "PriorityClass", value=value) | {"metadata": {"name": name}}
    if text:
        with pytest.raises(Refused, match=text):
            create(wanted)
    else:
        assert create(wanted).preemptionPolicy == "PreemptLowerPriority"
