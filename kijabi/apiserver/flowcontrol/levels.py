"""The priority levels as they are now: made from the API's objects, and how many seats each has at the moment.

`gate.py` has one `Levels`, gives it the objects whenever they change, and lets it deal the seats anew every ten
seconds: what a level does not want others may borrow, as far as its object says. Pure but for its state
(KEP-1040; k8s.io/apiserver `pkg/util/flowcontrol/apf_controller.go`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kijabi.api import codec
from kijabi.api.flowcontrol import standard
from kijabi.api.flowcontrol.flowschema import FlowSchema
from kijabi.api.flowcontrol.prioritylevelconfiguration import (
    MAX_HASH_BITS,
    PriorityLevelConfiguration,
    entropy_bits,
)
from kijabi.apiserver.flowcontrol import matching
from kijabi.apiserver.flowcontrol.allocation import Claim, allocate
from kijabi.apiserver.flowcontrol.line import Share
from kijabi.apiserver.flowcontrol.queueset import Demand, QueueSet, Queuing, Ticket

ADJUST_SECONDS = 10.0
SMOOTHING = 0.977  # of what was wanted before, in each step: half of it is forgotten after five minutes
MAX_SEATS_PART = 0.15  # of a level's seats that one request may have
MAX_DECK = 1 << 26


class Limits(NamedTuple):
    """Seats of a level: by its shares, what stays if others borrow, what it may have with borrowed ones."""

    nominal: int = 0
    least: int = 0
    most: int = 0


class Level:
    """One priority level."""

    def __init__(self, obj: PriorityLevelConfiguration, now: float) -> None:
        self.obj = obj
        self.queues = QueueSet(0, queuing_of(obj), now, exempt=obj.spec.type == "Exempt")
        self.share = Share(obj.metadata.name)
        self.limits = Limits()
        self.current = -1  # seats it has now; not yet dealt any
        self.leaving = False  # its object is gone; it goes when nobody is in it
        self.demand = Demand(0.0, 0.0, 0.0, 0)
        self.smoothed = 0.0
        self.target = 0.0

    @property
    def name(self) -> str:
        """Of the object."""
        return self.obj.metadata.name

    @property
    def exempt(self) -> bool:
        """Whether nobody waits here."""
        return self.queues.exempt

    @property
    def hand(self) -> tuple[int, int]:
        """(queues, hand size)."""
        limited = self.obj.spec.limited
        queuing = limited.limitResponse.queuing if limited is not None else None
        return (0, 0) if queuing is None else (queuing.queues, queuing.handSize)

    @property
    def max_seats(self) -> int:
        """What one request may have; 0 where nobody waits for seats."""
        nominal, hand = self.limits.nominal, self.hand[1]
        if not hand:
            return 0
        return max(1, min(math.ceil(nominal * MAX_SEATS_PART), nominal // hand))

    def configure(self, obj: PriorityLevelConfiguration, now: float) -> None:
        """Take its object as it is now."""
        self.obj = obj
        self.leaving = False
        self.queues.configure(queuing_of(obj), now)

    def observe(self, now: float) -> None:
        """Look at what was wanted since the last time."""
        found = self.demand = self.queues.demand(now)
        if found.seconds > 0:
            envelope = found.average + found.deviation
            self.smoothed = max(envelope, SMOOTHING * self.smoothed + (1 - SMOOTHING) * envelope)

    @property
    def floor(self) -> int:
        """The fewest seats that it can do with now."""
        if self.exempt:
            return max(self.limits.least, self.demand.most)
        return max(self.limits.least, min(self.limits.nominal, self.demand.most))


class Levels:
    """All levels, and the schemas that lead to them. seats: of the whole server."""

    def __init__(self, seats: int, now: float) -> None:
        self.seats = seats
        self.by_name: dict[str, Level] = {}
        self.schemas: list[FlowSchema] = []
        self.fair_fraction = 0.0
        self.digest((), (), now)

    def digest(
        self, objects: Iterable[PriorityLevelConfiguration], schemas: Iterable[FlowSchema], now: float
    ) -> list[Ticket]:
        """Take the API's objects as they are now; who may start. Without the mandatory ones, they are imagined."""
        given = {obj.metadata.name: obj for obj in objects if usable(obj)}
        for name in standard.MANDATORY:
            if name not in given:
                given[name] = imagined_level(name)
        before, self.by_name = self.by_name, {}
        for name, obj in given.items():
            level = before.pop(name, None)
            if level is not None and level.exempt == (obj.spec.type == "Exempt"):
                level.configure(obj, now)
            else:
                level = Level(obj, now)
            self.by_name[name] = level
        for name, level in before.items():
            if not level.queues.idle and name not in self.by_name:
                level.leaving = True
                self.by_name[name] = level
        valid = [schema for schema in schemas if schema.spec.priorityLevelConfiguration.name in given]
        named = {schema.metadata.name for schema in valid}
        valid += [imagined_schema(name) for name in standard.MANDATORY if name not in named]
        self.schemas = matching.in_order(valid)
        self._deal_shares()
        return self.adjust(now)

    def reap(self) -> None:
        """Drop levels that have gone and are empty."""
        for name in [name for name, level in self.by_name.items() if level.leaving and level.queues.idle]:
            del self.by_name[name]
            self._deal_shares()

    def _deal_shares(self) -> None:
        total = sum(shares_of(level.obj) for level in self.by_name.values())
        for level in self.by_name.values():
            nominal = math.ceil(self.seats * shares_of(level.obj) / total) if total else 0
            limited, exempt = level.obj.spec.limited, level.obj.spec.exempt
            percent = (limited or exempt).lendablePercent if limited or exempt else 0  # type: ignore[union-attr]
            borrowed = limited.borrowingLimitPercent if limited is not None else None
            lent = _round(nominal * (percent or 0) / 100)
            more = self.seats if borrowed is None else _round(nominal * borrowed / 100)
            level.limits = Limits(nominal, nominal - lent, nominal + more)
            if level.current < 0:
                level.current = nominal - lent // 2

    def adjust(self, now: float) -> list[Ticket]:
        """Deal the seats by what each level has wanted lately; who may start."""
        for level in self.by_name.values():
            level.observe(now)
        limited = [level for level in self.by_name.values() if not level.exempt]
        total = left = sum(level.limits.nominal for level in self.by_name.values())
        for level in self.by_name.values():
            if level.exempt:
                level.current = level.floor
                left -= level.floor
        least, floors = sum(level.limits.least for level in limited), sum(level.floor for level in limited)
        self.fair_fraction = 0.0
        for level in limited:
            level.target = max(level.floor, level.smoothed)
        if left <= least:
            dealt = [float(level.limits.least) for level in limited]
        elif left <= floors:
            part = (left - least) / (floors - least)
            dealt = [level.limits.least + (level.floor - level.limits.least) * part for level in limited]
        else:
            claims = [Claim(level.floor, level.limits.most, level.target) for level in limited]
            dealt, self.fair_fraction = allocate(total, claims)
        started: list[Ticket] = []
        for level, seats in zip(limited, dealt, strict=True):
            level.current = _round(seats)
        for level in self.by_name.values():
            level.share.weight = float(max(1, self.seats if level.exempt else level.current))
            started += level.queues.limit(level.current, now)
        return started


def _round(number: float) -> int:
    """Half away from zero, as Go does; the numbers are not negative."""
    return math.floor(number + 0.5)


def shares_of(obj: PriorityLevelConfiguration) -> int:
    """The nominal concurrency shares."""
    limited, exempt = obj.spec.limited, obj.spec.exempt
    own = limited.nominalConcurrencyShares if limited is not None else None
    if exempt is not None:
        own = exempt.nominalConcurrencyShares
    return own or 0


def queuing_of(obj: PriorityLevelConfiguration) -> Queuing | None:
    """How requests wait."""
    limited = obj.spec.limited
    queuing = limited.limitResponse.queuing if limited is not None else None
    return None if queuing is None else Queuing(queuing.queues, queuing.queueLengthLimit)


def usable(obj: PriorityLevelConfiguration) -> bool:
    """Whether an object makes sense; what the rules let in does, but they may have been others once."""
    spec = obj.spec
    if (spec.type == "Limited") != (spec.limited is not None) or (spec.type == "Exempt") != (spec.exempt is not None):
        return False
    if (spec.type == "Exempt") != (obj.metadata.name == "exempt"):
        return False
    if spec.limited is None:
        return True
    response = spec.limited.limitResponse
    if response.queuing is None:
        return response.type == "Reject"
    queues, hand = response.queuing.queues, response.queuing.handSize
    return 0 < hand <= queues <= MAX_DECK and entropy_bits(queues, hand) <= MAX_HASH_BITS


def _named(name: str, specs: Mapping[str, object]) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": specs[name]}


def imagined_level(name: str) -> PriorityLevelConfiguration:
    """A mandatory level as if it were there."""
    return codec.from_builtins(PriorityLevelConfiguration, _named(name, standard.levels()))


def imagined_schema(name: str) -> FlowSchema:
    """A mandatory schema as if it were there."""
    return codec.from_builtins(FlowSchema, _named(name, standard.schemas()))
