"""The graph of owners, and what becomes of an object."""

from __future__ import annotations

import pytest

from kijabi.api.meta import ObjectMeta, OwnerReference, Time
from kijabi.controllers.garbage.graph import FOREGROUND, ORPHAN, Graph, Item, item_of
from kijabi.controllers.garbage.verdict import KEEP, Owner, Verdict, judge
from tests.controllers.things import NOW

S, A, W, R = Owner.SOLID, Owner.ABSENT, Owner.WAITING, Owner.RELEASED


def ref(uid: str, *, blocks: bool = True, name: str = "") -> OwnerReference:
    return OwnerReference(apiVersion="v1", kind="Thing", name=name or uid, uid=uid, blockOwnerDeletion=blocks)


def meta(uid: str, *owners: OwnerReference, finalizers: tuple[str, ...] = ()) -> ObjectMeta:
    return ObjectMeta(name=uid, namespace="ns", uid=uid, ownerReferences=owners, finalizers=finalizers)


def item(uid: str, *owners: OwnerReference, going: str = "", namespace: str = "ns") -> Item:
    made = meta(uid, *owners, finalizers=(going,) if going else ())
    made.namespace = namespace
    made.deletionTimestamp = Time.of(NOW) if going else None
    return item_of("v1", "Thing", made)


@pytest.mark.parametrize(
    ("owners", "finalizers", "dependents", "cycle", "verdict"),
    [
        ({}, (), False, False, KEEP),
        ({"a": S}, (), True, False, KEEP),
        ({"a": S, "b": A}, (), False, False, Verdict(drop=("b",))),
        ({"a": W, "b": S, "c": A}, (), True, False, Verdict(drop=("a", "c"))),
        ({"a": R}, (), True, False, Verdict(drop=("a",))),
        ({"a": R, "b": A}, (), True, False, Verdict(drop=("a", "b"))),
        ({"a": A}, (), True, False, Verdict(delete="Background")),
        ({"a": A, "b": A}, (ORPHAN,), True, False, Verdict(delete="Orphan")),
        ({"a": A}, (FOREGROUND,), True, False, Verdict(delete="Foreground")),
        ({"a": W}, (), False, False, Verdict(delete="Background")),
        ({"a": W}, (), True, False, Verdict(delete="Foreground")),
        ({"a": W, "b": A}, (), True, True, Verdict(unblock=True, delete="Foreground")),
    ],
)
def test_verdicts(
    owners: dict[str, Owner], finalizers: tuple[str, ...], dependents: bool, cycle: bool, verdict: Verdict
) -> None:
    one = meta("x", *(ref(uid) for uid in owners), finalizers=finalizers)
    assert judge(one, owners, dependents=dependents, cycle=cycle) == verdict


def test_an_object_with_unknown_owners_is_looked_at() -> None:
    graph = Graph()
    assert graph.put(item("a")) == set()
    assert graph.put(item("x", ref("a"))) == set()
    assert graph.put(item("y", ref("a"), ref("b"))) == {"y"}
    assert graph.put(item("b")) == set()
    assert not graph.suspicious(graph.items["y"])


def test_dependents_are_looked_at_when_the_owner_goes() -> None:
    graph = Graph()
    for one in (item("a"), item("x", ref("a")), item("y", ref("a")), item("z", ref("x"))):
        graph.put(one)
    assert graph.remove("a") == {"x", "y"}
    assert graph.remove("x") == {"z"}
    assert graph.remove("unknown") == set()


def test_an_owner_that_was_never_seen_still_has_dependents() -> None:
    graph = Graph()
    graph.put(item("x", ref("ghost")))
    assert [each.uid for each in graph.dependents("ghost")] == ["x"]
    graph.put(item("x"))
    assert list(graph.dependents("ghost")) == []


def test_foreground_deletion_wakes_dependents_first_and_the_owner_last() -> None:
    graph = Graph()
    graph.put(item("a"))
    graph.put(item("x", ref("a")))
    graph.put(item("y", ref("a")))
    assert graph.put(item("a", going=FOREGROUND)) == {"a", "x", "y"}
    assert graph.put(item("a", going=FOREGROUND)) == set(), "it began once"
    assert graph.remove("x") == {"a"}
    assert graph.put(item("y", ref("a", blocks=False))) == {"a", "y"}, "it no longer blocks, but still has to go"
    assert graph.put(item("z", ref("a"))) == {"z"}, "a new dependent has to go too"


def test_orphaning_wakes_the_owner_alone() -> None:
    graph = Graph()
    graph.put(item("a"))
    graph.put(item("x", ref("a")))
    assert graph.put(item("a", going=ORPHAN)) == {"a"}


def test_a_deletion_may_change_its_mind() -> None:
    graph = Graph()
    graph.put(item("a", going=FOREGROUND))
    graph.put(item("x", ref("a")))
    assert graph.put(item("a", going=ORPHAN)) == {"a"}
    assert graph.put(item("a", going=FOREGROUND)) == {"a", "x"}


def test_references_must_agree_with_the_owner() -> None:
    graph = Graph()
    graph.put(item("a"))
    assert graph.put(item("x", ref("a", name="other"))) == {"x"}
    assert graph.put(item("y", ref("a"), namespace="elsewhere")) == {"y"}
    graph.put(item("cluster", namespace=""))
    assert graph.put(item("z", ref("cluster"), namespace="elsewhere")) == set()
    assert graph.put(item("w", ref("late", name="wrong"))) == {"w"}
    assert graph.put(item("late")) == {"w"}, "now it is known that it was named wrongly"
