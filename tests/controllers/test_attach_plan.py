"""Where one volume is to be attached, and from where it goes."""

from __future__ import annotations

from itertools import product

import pytest

from kijabi.api.core.persistentvolume import CSIPersistentVolumeSource, PersistentVolume, PersistentVolumeSpec
from kijabi.api.meta import ObjectMeta
from kijabi.api.storage.csidriver import CSIDriver, CSIDriverSpec
from kijabi.controllers.attachdetach.plan import (
    FORCE_AFTER,
    Attachment,
    Blocked,
    Detach,
    Place,
    Plan,
    multi_attach,
    plan,
)
from kijabi.controllers.attachdetach.volumes import attachment_name, must_attach, shareable, unique_name
from tests.controllers.things import pod

HERE = {"a": [pod("p")]}
HELD = {"a": Attachment("va-a", attached=True)}


def test_a_wanted_volume_is_attached_once() -> None:
    assert plan(HERE, {}, {"a": Place()}, {}, shared=False) == Plan(attach=("a",))
    assert plan(HERE, HELD, {"a": Place()}, {}, shared=False) == Plan()
    assert plan(HERE, {"a": Attachment("va-a", going=True)}, {"a": Place()}, {}, shared=False) == Plan()


def test_only_one_node_gets_a_volume_for_one() -> None:
    both = {"b": [pod("young", age=1)], "a": [pod("old", age=9)]}
    places = {"a": Place(), "b": Place()}
    assert plan(both, {}, places, {}, shared=False) == Plan(attach=("a",), blocked=(Blocked("b", ("a",)),))
    assert plan(both, {}, places, {}, shared=True) == Plan(attach=("a", "b"))


def test_the_next_node_waits_until_the_last_has_let_go() -> None:
    places = {"a": Place(in_use=True), "b": Place()}
    wanted = {"b": [pod("p")]}
    assert plan(wanted, HELD, places, {"a": 0.0}, shared=False).blocked == (Blocked("b", ("a",)),)
    free = plan(wanted, HELD, {"a": Place(), "b": Place()}, {"a": 0.0}, shared=False)
    assert free == Plan(detach=(Detach("a", sure=False),), blocked=(Blocked("b", ("a",)),))
    going = {"a": Attachment("va-a", going=True)}
    assert plan(wanted, going, places, {}, shared=False) == Plan(blocked=(Blocked("b", ("a",)),))


def test_what_a_ready_node_uses_stays_for_ever() -> None:
    assert plan({}, HELD, {"a": Place(in_use=True)}, {"a": 9 * FORCE_AFTER}, shared=False) == Plan()


def test_a_node_that_is_not_ready_loses_it_after_six_minutes() -> None:
    down = {"a": Place(ready=False, in_use=True)}
    assert plan({}, HELD, down, {"a": 60.0}, shared=False) == Plan(again=300.0)
    assert plan({}, HELD, down, {"a": FORCE_AFTER}, shared=False) == Plan(detach=(Detach("a", sure=True),))


def test_a_node_out_of_service_loses_it_at_once() -> None:
    dead = {"a": Place(ready=False, out_of_service=True, in_use=True)}
    assert plan({}, HELD, dead, {"a": 0.0}, shared=False) == Plan(detach=(Detach("a", sure=True),))


def test_who_uses_it_elsewhere_is_named_within_the_namespace_only() -> None:
    other, foreign = pod("other"), pod("foreign")
    foreign.metadata.namespace = "elsewhere"
    assert multi_attach(pod("p"), [other]) == "Volume is already used by pod(s) other"
    both = "Volume is already used by pod(s) other and 1 pod(s) in different namespaces"
    assert multi_attach(pod("p"), [other, foreign]) == both
    assert multi_attach(pod("p"), [foreign]) == "Volume is already used by 1 pod(s) in different namespaces"
    assert multi_attach(pod("p"), []).startswith("Volume is already exclusively attached to one node")


def test_names_are_those_that_drivers_and_kubelets_know() -> None:
    csi = CSIPersistentVolumeSource(driver="d.example.com", volumeHandle="h1")
    volume = PersistentVolume(metadata=ObjectMeta(name="v"), spec=PersistentVolumeSpec(csi=csi))
    assert unique_name(volume) == "kubernetes.io/csi/d.example.com^h1"
    assert unique_name(PersistentVolume()) == ""
    wanted = "csi-508dba9cb5fd684fdabd564ccbb7cb57cc4975664a3459c22ddd366ff009f505"
    assert attachment_name(csi, "node-1") == wanted


def test_drivers_say_whether_they_attach_and_volumes_whether_they_are_shared() -> None:
    assert must_attach(None)
    assert must_attach(CSIDriver(spec=CSIDriverSpec(attachRequired=True)))
    assert not must_attach(CSIDriver(spec=CSIDriverSpec(attachRequired=False)))
    alone = PersistentVolume(spec=PersistentVolumeSpec(accessModes=("ReadWriteOnce", "ReadWriteOncePod")))
    assert not shareable(alone)
    assert shareable(PersistentVolume(spec=PersistentVolumeSpec(accessModes=("ReadWriteOnce", "ReadOnlyMany"))))
    assert shareable(PersistentVolume())


HOLDS = (None, Attachment("va"), Attachment("va", attached=True), Attachment("va", attached=True, going=True))
PLACES = tuple(Place(*flags) for flags in product((False, True), repeat=3))


@pytest.mark.parametrize("shared", [False, True])
def test_whatever_there_is_nothing_is_torn_out_or_attached_twice(shared: bool) -> None:
    for wants, holds, place, waited in product(
        product((False, True), repeat=2), product(HOLDS, repeat=2), product(PLACES, repeat=2), (0.0, FORCE_AFTER)
    ):
        wanted = {node: [pod(node)] for node, want in zip("ab", wants, strict=True) if want}
        held = {node: hold for node, hold in zip("ab", holds, strict=True) if hold is not None}
        places = dict(zip("ab", place, strict=True))
        todo = plan(wanted, held, places, dict.fromkeys(held.keys() - wanted.keys(), waited), shared=shared)
        assert not set(todo.attach) & held.keys()
        assert shared or not todo.attach or len(todo.attach) + len(held) == 1
        assert set(todo.attach) | {one.node for one in todo.blocked} == wanted.keys() - held.keys()
        for leaving in todo.detach:
            assert leaving.node not in wanted
            assert not held[leaving.node].going
            here = places[leaving.node]
            assert not here.in_use or here.out_of_service or (waited >= FORCE_AFTER and not here.ready)
