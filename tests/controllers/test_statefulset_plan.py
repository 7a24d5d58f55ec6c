"""The next steps of a StatefulSet: order, rollout, claims; the pure part."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from kijabi.api.apps.statefulset import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetStatus,
    StatefulSetUpdateStrategy,
)
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import (
    ContainerState,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    PodCondition,
)
from kijabi.api.meta import LabelSelector, ObjectMeta, OwnerReference
from kijabi.controllers.owners import controller_ref
from kijabi.controllers.statefulset import claims, identity
from kijabi.controllers.statefulset.broken import REPLACE_BROKEN, broken
from kijabi.controllers.statefulset.plan import Create, Delete, View, plan, status_of
from tests.controllers.things import APP, NOW, ago, owner, template

OLD, NEW = "web-old", "web-new"


def stateful(replicas: int = 3, *, parallel: bool = False, start: int = 0, claims: tuple[str, ...] = (),
             keep: tuple[str, str] = ("Retain", "Retain"), strategy: str = "RollingUpdate",
             **rolling: Any) -> StatefulSet:  # fmt: skip
    templates = tuple(PersistentVolumeClaim(metadata=ObjectMeta(name=name)) for name in claims)
    spec = StatefulSetSpec(
        replicas=replicas,
        selector=LabelSelector(matchLabels=APP),
        template=template(),
        serviceName="web",
        volumeClaimTemplates=templates,
        podManagementPolicy="Parallel" if parallel else "OrderedReady",
        updateStrategy=StatefulSetUpdateStrategy(
            type=strategy,
            rollingUpdate=RollingUpdateStatefulSetStrategy(**rolling) if strategy == "RollingUpdate" else None,
        ),
        ordinals=StatefulSetOrdinals(start=start) if start else None,
        persistentVolumeClaimRetentionPolicy=StatefulSetPersistentVolumeClaimRetentionPolicy(
            whenDeleted=keep[0], whenScaled=keep[1]
        ),
    )
    return StatefulSet(metadata=ObjectMeta(name="web", namespace="ns", uid="u"), spec=spec)


def pod(ordinal: int, revision: str = NEW, *, ready: bool = True, phase: str = "Running", going: bool = False) -> Pod:
    made = identity.make_pod(stateful(), owner("web", "StatefulSet", "u"), template(), ordinal, revision)
    made.metadata.uid = f"uid-{ordinal}"
    made.metadata.deletionTimestamp = ago(1) if going else None
    condition = PodCondition(type="Ready", status=str(ready), lastTransitionTime=ago(60))
    made.status = replace(made.status, phase=phase, conditions=(condition,))
    return made


def steps(ss: StatefulSet, *pods: Pod, current: str = NEW, update: str = NEW) -> tuple[list[int], list[str]]:
    """(numbers to create, names to delete)."""
    todo = plan(View(ss, pods, current, update, NOW)).steps
    created = [one.ordinal for one in todo if isinstance(one, Create)]
    return created, [one.pod.metadata.name for one in todo if isinstance(one, Delete)]


def test_one_after_the_other() -> None:
    ss = stateful()
    assert steps(ss) == ([0], [])
    assert steps(ss, pod(0, ready=False)) == ([], [])
    assert steps(ss, pod(0)) == ([1], [])
    assert steps(ss, pod(0), pod(2)) == ([1], [])
    assert steps(ss, pod(0, going=True), pod(1)) == ([], [])


def test_all_at_once() -> None:
    ss = stateful(parallel=True)
    assert steps(ss) == ([0, 1, 2], [])
    assert steps(ss, pod(1, ready=False)) == ([0, 2], [])


def test_numbers_begin_where_they_are_told_to() -> None:
    ss = stateful(2, start=5, parallel=True)
    assert steps(ss, pod(0), pod(5)) == ([6], ["web-0"])


def test_what_ended_is_made_again() -> None:
    assert steps(stateful(), pod(0, phase="Failed"), pod(1)) == ([], ["web-0"])
    assert steps(stateful(), pod(0, phase="Succeeded", going=True), pod(1)) == ([], [])


def test_scaling_down_goes_from_the_top_and_halts() -> None:
    ss = stateful(1)
    assert steps(ss, pod(0), pod(1), pod(2)) == ([], ["web-2"])
    assert steps(ss, pod(0), pod(1), pod(2, going=True)) == ([], [])
    assert steps(ss, pod(0), pod(1, ready=False), pod(2)) == ([], ["web-2"]), "2 is ready itself"
    assert steps(ss, pod(0), pod(1, ready=False), pod(2, ready=False)) == ([], []), "1 is the first that is not ready"
    assert steps(ss, pod(0, ready=False), pod(1), pod(2)) == ([], []), "a member that stays is not ready"
    assert steps(stateful(1, parallel=True), pod(0, ready=False), pod(1), pod(2)) == ([], ["web-2", "web-1"])


@pytest.mark.parametrize(
    ("ss", "deleted"),
    [
        (stateful(), ["web-2"]),
        (stateful(partition=2), ["web-2"]),
        (stateful(partition=3), []),
        (stateful(maxUnavailable=2), ["web-2", "web-1"]),
        (stateful(maxUnavailable="67%"), ["web-2", "web-1"]),
        (stateful(maxUnavailable="1%"), ["web-2"]),
        (stateful(strategy="OnDelete"), []),
    ],
)
def test_a_rollout_goes_from_the_top(ss: StatefulSet, deleted: list[str]) -> None:
    assert steps(ss, pod(0, OLD), pod(1, OLD), pod(2, OLD), current=OLD) == ([], deleted)


def test_a_rollout_waits_for_what_it_took_down() -> None:
    ss = stateful()
    assert steps(ss, pod(0, OLD), pod(1, OLD), pod(2, going=True), current=OLD) == ([], [])
    assert steps(ss, pod(0, OLD), pod(1, OLD), current=OLD) == ([2], [])
    assert steps(ss, pod(0, OLD), pod(1, OLD), pod(2), current=OLD) == ([], ["web-1"])
    parallel = stateful(parallel=True)
    down = (pod(0, OLD, ready=False), pod(1, OLD), pod(2, OLD))
    assert steps(parallel, *down, current=OLD) == ([], ["web-0"]), "what is down already goes first"


def test_below_the_partition_pods_are_made_from_the_old_template() -> None:
    todo = plan(View(stateful(partition=1, parallel=True), (), OLD, NEW, NOW))
    assert todo.steps == [Create(0, OLD), Create(1, NEW), Create(2, NEW)]


def failing(ordinal: int, revision: str, *, was_ready: bool = False, state: ContainerState | None = None) -> Pod:
    """A pod that is not ready: from the start on, or since a minute."""
    made = pod(ordinal, revision, ready=False)
    states = () if state is None else (ContainerStatus(name="c", state=state),)
    made.status = replace(made.status, startTime=ago(60 if not was_ready else 600), containerStatuses=states)
    return made


def crashed() -> ContainerState:
    return ContainerState(waiting=ContainerStateWaiting(reason="CrashLoopBackOff"))


def test_a_broken_rollout_can_be_replaced_where_the_user_lets_it() -> None:
    ss, pods = stateful(), (pod(0), pod(1), failing(2, "web-broken"))
    assert steps(ss, *pods) == ([], []), "upstream waits for somebody to delete web-2"
    ss.metadata.annotations = {REPLACE_BROKEN: "true"}
    assert steps(ss, *pods) == ([], ["web-2"])
    assert steps(ss, pod(0), pod(1), failing(2, NEW)) == ([], []), "the wanted template is given its time"
    two = (pod(0), failing(1, "web-broken"), failing(2, "web-broken"))
    assert steps(ss, *two) == ([], ["web-1"]), "one after the other"
    going = replace(pods[2].metadata, deletionTimestamp=ago(1))
    assert steps(ss, *pods[:2], replace(pods[2], metadata=going)) == ([], [])


def test_what_the_rollout_leaves_alone_is_not_replaced() -> None:
    noted = {REPLACE_BROKEN: "true"}
    below, by_hand = stateful(partition=1), stateful(strategy="OnDelete")
    below.metadata.annotations = by_hand.metadata.annotations = noted
    assert steps(below, failing(0, OLD), pod(1), pod(2)) == ([], [])
    assert steps(by_hand, pod(0), pod(1), failing(2, OLD)) == ([], [])
    refused = stateful()
    refused.metadata.annotations = {REPLACE_BROKEN: "yes"}
    assert steps(refused, pod(0), pod(1), failing(2, OLD)) == ([], [])


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (pod(0, OLD), False),
        (failing(0, OLD), True),
        (failing(0, OLD, was_ready=True), False),
        (failing(0, OLD, was_ready=True, state=crashed()), True),
        (
            failing(0, OLD, was_ready=True, state=ContainerState(terminated=ContainerStateTerminated(exitCode=1))),
            True,
        ),
        (
            failing(0, OLD, was_ready=True, state=ContainerState(terminated=ContainerStateTerminated(exitCode=0))),
            False,
        ),
        (
            failing(0, OLD, was_ready=True, state=ContainerState(waiting=ContainerStateWaiting("ContainerCreating"))),
            False,
        ),
        (Pod(), True),
    ],
)
def test_what_is_broken(one: Pod, found: bool) -> None:
    assert broken(one) is found


def test_a_pod_carries_its_identity() -> None:
    ss = stateful(claims=("data",))
    made = identity.make_pod(ss, owner("web", "StatefulSet", "u"), template(), 2, NEW)
    assert (made.metadata.name, made.spec.hostname, made.spec.subdomain) == ("web-2", "web-2", "web")
    assert made.metadata.labels == {
        **APP, "statefulset.kubernetes.io/pod-name": "web-2", "apps.kubernetes.io/pod-index": "2",
        "controller-revision-hash": NEW,
    }  # fmt: skip
    assert [(v.name, v.persistentVolumeClaim.claimName) for v in made.spec.volumes if v.persistentVolumeClaim] == [
        ("data", "data-web-2")
    ]
    assert identity.matches(ss, made)
    made.metadata.labels.pop("statefulset.kubernetes.io/pod-name")
    assert not identity.matches(ss, made)
    assert identity.matches(ss, identity.repaired(ss, made))


@pytest.mark.parametrize(
    ("name", "ordinal"), [("web-0", 0), ("a-b-12", 12), ("web", -1), ("web-x", -1), ("-1", -1), ("web-99999999999", -1)]
)
def test_ordinals(name: str, ordinal: int) -> None:
    assert identity.ordinal_of(Pod(metadata=ObjectMeta(name=name))) == ordinal


@pytest.mark.parametrize(
    ("keep", "ordinal", "kinds"),
    [
        (("Retain", "Retain"), 0, []),
        (("Delete", "Retain"), 0, ["StatefulSet"]),
        (("Delete", "Retain"), 7, ["StatefulSet"]),
        (("Retain", "Delete"), 0, []),
        (("Retain", "Delete"), 7, ["Pod"]),
        (("Delete", "Delete"), 0, ["StatefulSet"]),
        (("Delete", "Delete"), 7, ["Pod"]),
    ],
)
def test_who_owns_a_claim(keep: tuple[str, str], ordinal: int, kinds: list[str]) -> None:
    ss, one = stateful(keep=keep, claims=("data",)), pod(ordinal)
    claim = PersistentVolumeClaim(metadata=ObjectMeta(name=f"data-web-{ordinal}", namespace="ns"))
    for before in ((), (controller_ref(ss, *claims.SET),), (controller_ref(one, *claims.POD),)):
        claim.metadata.ownerReferences = before
        found = claims.owners(ss, one, claim)
        assert [ref.kind for ref in found] == kinds
        claim.metadata.ownerReferences = found
        assert claims.owners(ss, one, claim) is found, "put right once"


def test_others_claims_are_left_alone() -> None:
    ss, one = stateful(keep=("Delete", "Delete")), pod(0)
    other = OwnerReference(apiVersion="v1", kind="Thing", name="x", uid="x", controller=True)
    claim = PersistentVolumeClaim(metadata=ObjectMeta(name="data-web-0", ownerReferences=(other,)))
    assert claims.owners(ss, one, claim) == (other,)
    assert claims.conflicting(ss, one, claim)
    earlier = OwnerReference(apiVersion="v1", kind="Pod", name="web-0", uid="before", controller=True)
    claim.metadata.ownerReferences = (earlier,)
    assert claims.owners(ss, one, claim) == (earlier,)
    assert claims.stale(claim, one)


def test_status_completes_when_all_are_new_and_ready() -> None:
    ss = stateful()
    ss.status = StatefulSetStatus(currentRevision=OLD)
    half = status_of(View(ss, (pod(0, OLD), pod(1), pod(2)), OLD, NEW, NOW), None)
    assert (half.currentRevision, half.currentReplicas, half.updatedReplicas) == (OLD, 1, 2)
    whole = status_of(View(ss, (pod(0), pod(1), pod(2)), OLD, NEW, NOW), None)
    assert (whole.currentRevision, whole.currentReplicas, whole.availableReplicas) == (NEW, 3, 3)
