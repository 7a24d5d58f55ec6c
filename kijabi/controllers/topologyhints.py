"""Topology hints: in which zone an endpoint should be used, so that traffic stays near and nobody is overloaded.

Two rules of a Service: trafficDistribution gives each ready endpoint to its own zone or node, come what may (KEP-4444,
KEP-3015); the annotation `service.kubernetes.io/topology-mode: Auto` deals endpoints out to the zones in proportion to
the CPUs of their nodes, or not at all where that cannot be even enough (KEP-2433). `endpointslice.py` packs endpoints
into slices, has their hints set here, and writes them. All but `Zones` and `Allotted`, two small memories, is pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api.core.node import Node
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import Endpoint, EndpointHints, EndpointSlice, ForNode, ForZone
from kijabi.api.quantity import Quantity
from kijabi.controllers.nodehealth import ready_status

ZONE = "topology.kubernetes.io/zone"
MODES = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")  # the older one first
EXCLUDED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
CLOSE = ("PreferClose", "PreferSameZone", "PreferSameNode")
OVERLOAD = 0.2
"""How much more than its share a zone's endpoints may have to carry."""
DISABLED, ENABLED = "TopologyAwareHintsDisabled", "TopologyAwareHintsEnabled"
NO_NODES = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
TOO_FEW = "Insufficient number of endpoints"
UNEVEN = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
NO_ZONE = "One or more endpoints do not have a zone specified"
NONE_ALLOCATED = "No hints allocated for zones"
IS_ENABLED = "Topology Aware Hints has been enabled"
IS_DISABLED = "Topology Aware Hints has been disabled"


def automatic(service: Service) -> bool:
    """The service asks for endpoints to be dealt out by the zones' CPUs."""
    annotations = service.metadata.annotations
    said = next((annotations[name] for name in MODES if name in annotations), "")
    return said in ("Auto", "auto")


# Close by


def close(distribution: str | None, endpoint: Endpoint) -> EndpointHints | None:
    """Its own zone, and where asked for its own node."""
    zones = (ForZone(name=endpoint.zone),) if endpoint.zone is not None else ()
    by_node = distribution == "PreferSameNode" and endpoint.nodeName is not None
    nodes = (ForNode(name=endpoint.nodeName),) if by_node and endpoint.nodeName is not None else ()
    return EndpointHints(forZones=zones, forNodes=nodes) if zones or nodes else None


def hinted(distribution: str | None, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The endpoints with the hints of a trafficDistribution, of which only ready ones have any; or without hints."""
    prefers = distribution in CLOSE

    def one(endpoint: Endpoint) -> Endpoint:
        if prefers and not endpoint.conditions.ready:
            return endpoint
        hints = close(distribution, endpoint) if prefers else None
        return endpoint if endpoint.hints == hints else replace(endpoint, hints=hints)

    return tuple(map(one, endpoints))


# By the zones' CPUs


class _Share(NamedTuple):
    """What a node adds: nothing with an empty zone and no CPU, which spoils the sum."""

    zone: str
    cpu: int  # thousandths


class Zones:
    """The CPUs of each zone, kept up by what happens to nodes."""

    def __init__(self) -> None:
        self._shares: dict[str, _Share] = {}
        self._cpus: Counter[str] = Counter()
        self._unknown = 0

    def update(self, name: str, node: Node | None) -> bool:
        """A node came, changed or went (None); whether that changes anybody's part."""
        before, after = self._shares.pop(name, None), _share(node)
        if after is not None:
            self._shares[name] = after
        for share, sign in ((before, -1), (after, 1)):
            if share is None:
                continue
            if not share.zone or not share.cpu:
                self._unknown += sign
                continue
            self._cpus[share.zone] += sign * share.cpu
            if not self._cpus[share.zone]:
                del self._cpus[share.zone]
        return before != after

    def ratios(self) -> Mapping[str, float] | None:
        """Each zone's part of all CPUs; None if that is not known, or there is but one zone."""
        total = self._cpus.total()
        if self._unknown or len(self._cpus) < 2 or not total:
            return None
        return {zone: cpu / total for zone, cpu in self._cpus.items()}


def _share(node: Node | None) -> _Share | None:
    if node is None or any(label in node.metadata.labels for label in EXCLUDED) or ready_status(node) != "True":
        return None
    cpu = node.status.allocatable.get("cpu")
    return _Share(node.metadata.labels.get(ZONE, ""), cpu.milli() if isinstance(cpu, Quantity) else 0)


class Part(NamedTuple):
    """How many endpoints a zone must have, may have, and should have."""

    least: int
    most: int
    wanted: float


def allocate(ratios: Mapping[str, float] | None, endpoints: int) -> Mapping[str, Part] | str:
    """Each zone's part of so many ready endpoints, or why there is none."""
    if ratios is None:
        return NO_NODES
    counts = f"({endpoints} endpoints, {len(ratios)} zones)"
    if len(ratios) > endpoints:
        return f"{TOO_FEW} {counts}"
    wanted = {zone: ratio * endpoints for zone, ratio in ratios.items()}
    least = {zone: math.ceil(number * (1 / (1 + OVERLOAD))) for zone, number in wanted.items()}
    spare = endpoints - sum(least.values())
    if spare < 0:
        return f"{UNEVEN} {counts}"
    return {zone: Part(least[zone], least[zone] + spare, max(wanted[zone], float(least[zone]))) for zone in ratios}


class Slices(NamedTuple):
    """A service's slices of one family as they are to be: which are written, which stay as they are."""

    create: list[EndpointSlice]
    update: list[EndpointSlice]
    unchanged: list[EndpointSlice]


class Dealt(NamedTuple):
    """Slices with hints, how many endpoints each zone has by them, and why there are none if there are none."""

    slices: Slices
    zones: Mapping[str, int]
    problem: str = ""


def without(slices: Slices) -> Slices:
    """The slices without any hint; those that had one are written."""
    stale = [s for s in slices.unchanged if any(e.hints is not None for e in s.endpoints)]
    update = [_plain(s) for s in (*slices.update, *stale)]
    return Slices([_plain(s) for s in slices.create], update, [s for s in slices.unchanged if s not in stale])


def _plain(s: EndpointSlice) -> EndpointSlice:
    return replace(s, endpoints=hinted(None, s.endpoints))


def nearby(slices: Slices, distribution: str | None) -> Slices:
    """The slices with the hints of a trafficDistribution; those that had others are written."""

    def one(s: EndpointSlice) -> EndpointSlice:
        return replace(s, endpoints=hinted(distribution, s.endpoints))

    stale = [s for s in slices.unchanged if hinted(distribution, s.endpoints) != s.endpoints]
    update = [one(s) for s in (*slices.update, *stale)]
    return Slices([one(s) for s in slices.create], update, [s for s in slices.unchanged if s not in stale])


def deal(slices: Slices, ratios: Mapping[str, float] | None) -> Dealt:
    """Deal the ready endpoints out to the zones. Slices whose hints fit stay as they are."""
    everything = (*slices.create, *slices.update, *slices.unchanged)
    parts = allocate(ratios, sum(e.conditions.ready is True for s in everything for e in s.endpoints))
    if isinstance(parts, str):
        return Dealt(without(slices), {}, parts)
    counts: Counter[str] = Counter()
    update, unchanged = list(slices.update), []
    for s in slices.unchanged:
        present = _present(s, counts, parts)
        if present is None:
            update.append(s)
        else:
            unchanged.append(s)
            counts += present
    open_ = [list(s.endpoints) for s in (*slices.create, *update)]
    ready = [(at, place) for at, es in enumerate(open_) for place, e in enumerate(es) if e.conditions.ready]
    for at, place in ready:
        zone = open_[at][place].zone
        if not zone:
            return Dealt(without(Slices(slices.create, update, unchanged)), {}, NO_ZONE)
        counts[zone] += 1
        open_[at][place] = replace(open_[at][place], hints=EndpointHints(forZones=(ForZone(name=zone),)))
    giving, receiving = _exchange(parts, counts)
    for at, place in ready:
        zone = open_[at][place].zone or ""
        if giving[zone] > 0 and (other := next((z for z, number in receiving.items() if number > 0), None)) is not None:
            open_[at][place] = replace(open_[at][place], hints=EndpointHints(forZones=(ForZone(name=other),)))
            giving[zone] -= 1
            receiving[other] -= 1
            counts[other] += 1
            counts[zone] -= 1
    if not counts:
        return Dealt(without(Slices(slices.create, update, unchanged)), {}, NONE_ALLOCATED)
    done = [replace(s, endpoints=tuple(es)) for s, es in zip((*slices.create, *update), open_, strict=True)]
    split = len(slices.create)
    return Dealt(Slices(done[:split], done[split:], unchanged), dict(counts))


def _present(s: EndpointSlice, counts: Mapping[str, int], parts: Mapping[str, Part]) -> Counter[str] | None:
    """The hints that the slice has, by zone, if they can stay beside what others have."""
    found: Counter[str] = Counter()
    for endpoint in s.endpoints:
        if not endpoint.conditions.ready:
            continue
        if endpoint.hints is None or not endpoint.hints.forZones:
            return None
        found.update(zone.name for zone in endpoint.hints.forZones)
    fits = all(zone in parts and number + counts.get(zone, 0) <= parts[zone].most for zone, number in found.items())
    return found if fits else None


def _exchange(parts: Mapping[str, Part], counts: Mapping[str, int]) -> tuple[Counter[str], Counter[str]]:
    """How many endpoints which zones give away, and which receive: always from the richest to the poorest."""
    over = {zone: counts.get(zone, 0) - part.wanted for zone, part in parts.items()}
    rich = {zone: left for zone, left in over.items() if left > 0}
    poor = {zone: -left for zone, left in over.items() if left < 0}
    giving: Counter[str] = Counter()
    receiving: Counter[str] = Counter()
    while rich and poor:
        giver, taker = max(rich, key=rich.__getitem__), max(poor, key=poor.__getitem__)
        gives, takes = rich[giver], poor[taker]
        if (gives < 1 and takes < 1) or gives < 0.5 or takes < 0.5:
            break
        giving[giver] += 1
        receiving[taker] += 1
        rich[giver] -= 1
        poor[taker] -= 1
    return giving, receiving


def overloaded(zones: Mapping[str, int], ratios: Mapping[str, float] | None) -> bool:
    """Whether endpoints that were dealt out so are too uneven for the zones as they are now."""
    if not zones:
        return False
    if not ratios:
        return True
    total = sum(zones.values())
    return any(
        zone not in zones or zones[zone] < math.ceil(total * ratio * (1 / (1 + OVERLOAD)))
        for zone, ratio in ratios.items()
    )


class Allotted:
    """How the endpoints of services were dealt out, to tell which must be dealt out anew when nodes change."""

    def __init__(self) -> None:
        self._zones: dict[str, dict[str, Mapping[str, int]]] = {}  # service: family: zone: endpoints
        self._hinted: set[str] = set()  # services that were said to have hints

    def hinted(self, key: str) -> bool:
        """The service has hints, as far as was said."""
        return key in self._hinted

    def set(self, key: str, family: str, zones: Mapping[str, int]) -> None:
        """A service's endpoints were dealt out."""
        self._zones.setdefault(key, {})[family] = zones
        self._hinted.add(key)

    def remove(self, key: str, family: str) -> None:
        """They are no more."""
        families = self._zones.get(key, {})
        families.pop(family, None)
        if not families:
            self._zones.pop(key, None)
        self._hinted.discard(key)

    def forget(self, key: str) -> None:
        """The service is gone."""
        self._zones.pop(key, None)
        self._hinted.discard(key)

    def uneven(self, ratios: Mapping[str, float] | None) -> Iterable[str]:
        """Services whose endpoints must be dealt out anew."""
        return [key for key, families in self._zones.items() if any(overloaded(z, ratios) for z in families.values())]
