"""What becomes of one object, given the certain state of each of its owners. Pure.

`collector.py` finds the states out (on the server, where the graph cannot know) and carries the verdict out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from kijabi.api.meta import ObjectMeta
from kijabi.controllers.garbage.graph import FOREGROUND, ORPHAN


class Owner(Enum):
    """How an owner stands."""

    SOLID = "it exists"
    ABSENT = "it does not exist, or not any more"
    WAITING = "it is being deleted and waits for its dependents to go first"
    RELEASED = "it was deleted with orders to leave its dependents alone"


class Verdict(NamedTuple):
    """Drop these owner references, stop blocking owners, delete with this propagation policy; "" deletes nothing."""

    drop: tuple[str, ...] = ()
    unblock: bool = False
    delete: str = ""


KEEP = Verdict()


def judge(meta: ObjectMeta, owners: Mapping[str, Owner], *, dependents: bool, cycle: bool) -> Verdict:
    """Decide about an object that is not being deleted.

    owners: by uid, one for each reference. dependents: it has some. cycle: one of them is itself waiting for its
    dependents, so that blocking could go round.

    One solid owner keeps it, or one that left it as an orphan; the references to the others go, or a waiting owner
    would wait for ever.
    """
    states = [owners[ref.uid] for ref in meta.ownerReferences]
    if not states or all(state is Owner.SOLID for state in states):
        return KEEP
    if Owner.SOLID in states or Owner.RELEASED in states:
        return Verdict(drop=tuple(ref.uid for ref in meta.ownerReferences if owners[ref.uid] is not Owner.SOLID))
    if Owner.WAITING in states and dependents:
        return Verdict(unblock=cycle, delete="Foreground")
    if ORPHAN in meta.finalizers:
        return Verdict(delete="Orphan")
    return Verdict(delete="Foreground" if FOREGROUND in meta.finalizers else "Background")
