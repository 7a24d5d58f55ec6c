"""Who keeps a claim from being deleted, and what a claim says of its use."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.meta import ObjectMeta, Time
from kijabi.controllers.podclaims import ended
from kijabi.controllers.volumeprotection import refers, unused_condition, uses
from tests.controllers.things import NOW, ago, owner

CLAIM = {"name": "v", "persistentVolumeClaim": {"claimName": "p-v"}}
EPHEMERAL = {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}


def pod(volume: dict[str, Any], node: str = "n1", **meta: Any) -> Pod:
    """The pod p with one volume."""
    one = codec.from_builtins(Pod, {"spec": {"containers": [], "volumes": [volume], "nodeName": node}})
    one.metadata = ObjectMeta(name="p", namespace="ns", uid="u", **meta)
    return one


def claim(uid: str = "") -> PersistentVolumeClaim:
    """The claim p-v, of the pod with this uid."""
    refs = (owner("p", "Pod", uid),) if uid else ()
    return PersistentVolumeClaim(metadata=ObjectMeta(name="p-v", namespace="ns", ownerReferences=refs))


DOWN: dict[str, Any] = {"deletionTimestamp": ago(1), "deletionGracePeriodSeconds": 0}
GOING: dict[str, Any] = {"deletionTimestamp": ago(1), "deletionGracePeriodSeconds": 30}


@pytest.mark.parametrize(
    ("user", "wanted", "kept"),
    [
        (pod(CLAIM), claim(), True),
        (pod(CLAIM, node=""), claim(), False),
        (pod(CLAIM, **DOWN), claim(), True),
        (pod(CLAIM, **DOWN), claim("other"), True),
        (pod(CLAIM, **GOING), claim("u"), True),
        (pod(CLAIM, **DOWN), claim("u"), False),
        (pod(EPHEMERAL), claim("u"), True),
        (pod(EPHEMERAL), claim("other"), False),
        (pod(EPHEMERAL), claim(), False),
        (pod(EPHEMERAL, **GOING), claim("u"), True),
        (pod(EPHEMERAL, **DOWN), claim("u"), False),
        (pod({"name": "x", "persistentVolumeClaim": {"claimName": "other"}}), claim(), False),
    ],
)
def test_who_keeps_a_claim(user: Pod, wanted: PersistentVolumeClaim, kept: bool) -> None:
    assert uses(user, wanted) == kept


def test_a_pod_without_a_node_refers_to_its_claim_all_the_same() -> None:
    assert refers(pod(CLAIM, node=""), claim())


def test_a_pod_has_ended_when_nothing_of_it_can_run() -> None:
    one = pod(CLAIM, **GOING)
    assert ended(one)
    running = {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}
    one.status = codec.from_builtins(Pod, {"status": running}).status
    assert not ended(one)
    one.status.phase = "Failed"
    assert ended(one)


def test_the_condition_changes_only_when_the_use_does() -> None:
    now, one = Time.of(NOW), claim()
    first = unused_condition(one, False, now)
    assert first is not None
    assert (first.type, first.status, first.reason) == ("Unused", "True", "NoPodsUsingPVC")
    one.status.conditions = (first,)
    assert unused_condition(one, False, Time.of(NOW)) is None
    then = unused_condition(one, True, now)
    assert then is not None
    assert (then.status, then.reason) == ("False", "PodUsingPVC")
