"""Every safety rule, one line each: what must be true after every single write. A new one is a class in `safety/` and a
line here.

`history.WatchedStore` asks each of them after each write.
"""

from __future__ import annotations

from kijabi.testing.history import Checker
from kijabi.testing.safety.autoscaling import ScaledWithinBounds
from kijabi.testing.safety.availability import AvailabilityKept
from kijabi.testing.safety.budgets import BudgetsKept
from kijabi.testing.safety.deployments import RecreatesInTurn, SurgeBounded
from kijabi.testing.safety.facts import Running
from kijabi.testing.safety.gangs import (
    GangsBegunWhole,
    GangsGoWhole,
    GroupsInUseStay,
    NobodyLeavesInVain,
    ScheduledForGood,
)
from kijabi.testing.safety.growth import SizesKept
from kijabi.testing.safety.jobs import CountedExactly, JobsEndForGood, TimesRunOnce, WithinParallelism
from kijabi.testing.safety.objects import FinalizersHonoured, IdentityKept, ObservedGenerations, OwnersExist
from kijabi.testing.safety.pods import (
    BoundOnce,
    EndsForGood,
    NodesNotOvercommitted,
    PodAddressesUnique,
    PodsEndFirst,
    RestartsCounted,
    VictimsAreLower,
)
from kijabi.testing.safety.quotas import QuotasKept
from kijabi.testing.safety.replicas import NoneTooMany, OneOfEachIdentity, OnePerNode, StartedInOrder
from kijabi.testing.safety.services import ServiceAddressesUnique
from kijabi.testing.safety.volumes import (
    ClaimsInUseStay,
    ClaimsKeepTheirVolumes,
    ClaimsOfSetsRetained,
    EmptiedForTheNext,
    VolumesReclaimed,
)
from kijabi.testing.safety.zones import EvictedForTaints, EvictionsPaced, Started


def standard(running: Running = lambda node, uid: False, started: Started = lambda: 0.0) -> tuple[Checker, ...]:
    """All checkers, new. running: asks the runtime of a node whether a container of the pod of this uid runs; started:
    when the controllers were. (That revisions go up by one, the store watcher itself sees.)"""
    return (
        IdentityKept(),
        FinalizersHonoured(),
        OwnersExist(),
        ObservedGenerations(),
        BoundOnce(),
        NodesNotOvercommitted(),
        VictimsAreLower(),
        GangsBegunWhole(),
        GangsGoWhole(),
        NobodyLeavesInVain(),
        ScheduledForGood(),
        GroupsInUseStay(),
        EndsForGood(),
        RestartsCounted(),
        PodsEndFirst(running),
        PodAddressesUnique(running),
        SurgeBounded(),
        RecreatesInTurn(),
        AvailabilityKept(),
        NoneTooMany(),
        OnePerNode(),
        OneOfEachIdentity(running),
        StartedInOrder(),
        CountedExactly(),
        JobsEndForGood(),
        WithinParallelism(),
        TimesRunOnce(),
        BudgetsKept(),
        ServiceAddressesUnique(),
        QuotasKept(),
        ClaimsKeepTheirVolumes(),
        ClaimsInUseStay(running),
        VolumesReclaimed(),
        EmptiedForTheNext(running),
        SizesKept(),
        ClaimsOfSetsRetained(),
        ScaledWithinBounds(),
        EvictionsPaced(started),
        EvictedForTaints(),
    )
