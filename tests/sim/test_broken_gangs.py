"""As `test_broken.py`: components that are broken on purpose, of pods that are placed and displaced together."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from kijabi.controllers import podgroupprotection
from kijabi.scheduler import gangs
from kijabi.scheduler import loop as scheduling
from kijabi.scheduler.clearing import Clearing, clear
from kijabi.scheduler.eviction import Current, Evictions, Room
from kijabi.scheduler.gangs import Gangs as Grouping
from kijabi.scheduler.gangs import Outcome
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.units import priority_of
from kijabi.testing.scenario import MILD, Scenario, Setting, Stuck, Violation
from kijabi.testing.wishes.gangs import Gangs
from tests.sim.test_broken import SEEDS, Patch, end


def found_out(kind: type[BaseException], text: str, storm: float = 40.0) -> bool:
    """Whether one of the seeds ends like this. storm: seconds; what depends on who knows of what takes longer."""
    setting = Setting("medium", 2, (Gangs,), 3, 2.0, storm, MILD)
    ends = (end(Scenario(seed, setting=setting), seed) for seed in SEEDS)
    return any(isinstance(error, kind) and text in str(error) for error in ends)


def test_a_gang_that_takes_what_it_gets(monkeypatch: Patch) -> None:
    monkeypatch.setattr(gangs, "_short", lambda least, scheduled, left: "")
    assert found_out(Violation, "GangsBegunWhole: it has a node, and ")


def test_a_gang_that_does_not_wait_for_all(monkeypatch: Patch) -> None:
    monkeypatch.setattr(gangs, "least_of", lambda group: 1)
    assert found_out(Violation, "GangsBegunWhole: it has a node, and gang")


def test_a_group_that_is_displaced_in_part(monkeypatch: Patch) -> None:
    right = gangs.terms_of
    monkeypatch.setattr(gangs, "terms_of", lambda group: replace(right(group), whole=False))
    assert found_out(Violation, "GangsGoWhole: it is displaced without", 120.0)


def test_a_group_that_is_displaced_one_by_one(monkeypatch: Patch) -> None:
    async def one_by_one(self: Evictions, room: Room, current: Current) -> None:
        for victim in room.victims:
            if victim.uid in room.bound:
                await self._evict(room, victim)

    monkeypatch.setattr(Evictions, "finish", one_by_one)
    assert found_out(Violation, "GangsGoWhole: it is displaced without", 120.0)


def test_an_eviction_of_a_group_that_tires(monkeypatch: Patch) -> None:
    async def weary(self: Evictions, room: Room, current: Current) -> None:
        bound = [one for one in room.victims if one.uid in room.bound]
        for victim in bound:
            await self._mark(room, victim)
        for victim in bound[1:]:
            await self._delete(room, victim)

    monkeypatch.setattr(Evictions, "finish", weary)
    assert found_out(Violation, "GangsGoWhole: it stays, and others of its group went", 120.0)


def test_room_for_a_gang_that_is_too_large(monkeypatch: Patch) -> None:
    right = clear

    def in_vain(pods: Any, priority: int, nodes: NodeState, *rest: Any) -> Any:
        found = right(pods, priority, nodes, *rest)
        if not isinstance(found, Outcome):
            return found
        return Clearing((), tuple(info for info in nodes.pods() if priority_of(info, nodes) < priority), 0)

    monkeypatch.setattr(scheduling, "clear", in_vain)
    assert found_out(Violation, "NobodyLeavesInVain")


def test_a_gang_that_displaces_equals(monkeypatch: Patch) -> None:
    monkeypatch.setattr(scheduling, "priority_of", lambda group: 2_000_000)
    assert found_out(Violation, "NobodyLeavesInVain")


def test_a_gang_that_displaces_nobody(monkeypatch: Patch) -> None:
    monkeypatch.setattr(scheduling, "clear", lambda *_: None)
    assert found_out(Stuck, "have room, or others lower would make it")


def test_a_gang_of_which_nothing_is_said(monkeypatch: Patch) -> None:
    async def mute(self: Grouping, info: Any, outcome: Outcome) -> None:
        return None

    monkeypatch.setattr(Grouping, "tell", mute)
    assert found_out(Stuck, "does not say why")


def test_what_is_unsaid_of_a_gang(monkeypatch: Patch) -> None:
    right = Grouping.condition

    def forgetful(self: Grouping, key: str, outcome: Outcome) -> Any:
        group = self._groups.get(key) if self._groups is not None else None
        if group is None or not outcome.why:
            return right(self, key, outcome)
        self._told.clear()
        before, self._groups = self._groups, {key: replace(group, status=replace(group.status, conditions=()))}  # type: ignore[assignment]
        made = right(self, key, outcome)
        self._groups = before
        return made

    monkeypatch.setattr(Grouping, "condition", forgetful)
    assert found_out(Violation, "ScheduledForGood")


def test_a_group_that_nobody_protects(monkeypatch: Patch) -> None:
    monkeypatch.setattr(podgroupprotection, "in_group", lambda pod: ())
    assert found_out(Violation, "GroupsInUseStay", 120.0)
