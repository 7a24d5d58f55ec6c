"""Which devices of a node fulfil claims: all requests of all claims, or nothing. Pure.

A scheduler calls `gather` for a node and `allocate` for the claims of a pod. Requests are tried in order, devices in
the order of pools, slices and their list; what does not work out is taken back, up to MOST_STEPS tries. Devices that
may be shared (`allowMultipleAllocations`) are given to one claim only. Source: resource.k8s.io/v1; KEP-4381 (structured
parameters), KEP-4816 (first available), KEP-4815 (counters), KEP-5055 (taints).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from kijabi.api import codec
from kijabi.api.cel.errors import CelFailure
from kijabi.api.core import nodefit
from kijabi.api.core.node import Node
from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from kijabi.api.dra.deviceclass import DeviceClass, DeviceSelector
from kijabi.api.dra.devicerequest import DeviceConstraint, DeviceRequest, DeviceSubRequest, ExactDeviceRequest
from kijabi.api.dra.resourceclaim import (
    AllocationResult,
    DeviceAllocationConfiguration,
    DeviceAllocationResult,
    DeviceRequestAllocationResult,
    ResourceClaim,
)
from kijabi.api.dra.resourceslice import Device, DeviceAttribute, ResourceSlice, ResourceSliceSpec
from kijabi.api.dra.selectors import matches
from kijabi.api.dra.taints import Place, current, tolerates
from kijabi.api.quantity import Quantity

MOST_STEPS = 100_000
"""Devices tried for one allocation, before it is given up."""
MOST_RESULTS = 32
"""Devices of one claim."""

Amounts = dict[tuple[str, str], Quantity]
"""What is left of counters, by set and name."""


class Unfit(ValueError):
    """The claims cannot be decided about on this node; the text says why."""


class Candidate(NamedTuple):
    """A device of a slice that concerns the node. here: it can be used from the node."""

    place: Place
    device: Device
    slice: ResourceSlice
    here: bool


class Pool(NamedTuple):
    """A pool as the node sees it. unfit: why none of its devices can be had: slices are not there (yet), or say what
    cannot be. counters: in all. others: devices of slices that do not concern the node.
    """

    driver: str
    name: str
    candidates: tuple[Candidate, ...] = ()
    unfit: str = ""
    counters: Mapping[tuple[str, str], Quantity] = {}
    others: tuple[Candidate, ...] = ()


class _Asked(NamedTuple):
    """A request, or an alternative of one, made ready. name: as results call it; parent: of an alternative."""

    name: str
    parent: str
    request: ExactDeviceRequest | DeviceSubRequest
    cls: DeviceClass
    every: tuple[Candidate, ...] | None

    @property
    def admin(self) -> bool:
        """It may use what others use."""
        return isinstance(self.request, ExactDeviceRequest) and bool(self.request.adminAccess)


class _Chosen(NamedTuple):
    """A device for a request."""

    asked: _Asked
    candidate: Candidate


def gather(slices: Sequence[ResourceSlice], node: Node) -> list[Pool]:
    """The pools that have devices for a node, in order."""
    by_pool: dict[tuple[str, str], list[ResourceSlice]] = {}
    for piece in sorted(slices, key=lambda one: one.metadata.name):
        by_pool.setdefault((piece.spec.driver, piece.spec.pool.name), []).append(piece)
    found = (_pool(*place, current(by_pool[place]), node) for place in sorted(by_pool))
    pools = [pool for pool in found if pool is not None]
    return sorted(pools, key=_waits)


def _waits(pool: Pool) -> bool:
    """Whether binding to a device of its slices takes time: other pools come first."""
    slices = {one.slice.metadata.name: one.slice for one in pool.candidates}
    return any(device.bindingConditions for piece in slices.values() for device in piece.spec.devices)


def _pool(driver: str, name: str, slices: Sequence[ResourceSlice], node: Node) -> Pool | None:
    here: list[Candidate] = []
    there: list[Candidate] = []
    counters: Amounts = {}
    groups: list[str] = []
    concerned = False
    for piece in slices:
        found = [Candidate(Place(driver, name, each.name), each, piece, _reaches(piece, each, node))
                 for each in piece.spec.devices]  # fmt: skip
        near = _placed(piece.spec, node) or any(one.here for one in found)
        concerned = concerned or near
        (here if near else there).extend(found)
        for group in piece.spec.sharedCounters:
            groups.append(group.name)
            counters.update(((group.name, key), one.value) for key, one in group.counters.items())
    if not concerned:
        return None
    pool = Pool(driver, name, tuple(here), "", counters, tuple(there))
    if len(slices) != slices[0].spec.pool.resourceSliceCount:
        return pool._replace(unfit="being updated")
    return pool._replace(unfit="" if _consistent(pool) and len(set(groups)) == len(groups) else "invalid")


def _consistent(pool: Pool) -> bool:
    """Names are used once near the node, and devices draw on counters that there are."""
    every = (*pool.candidates, *pool.others)
    drawn = {(one.counterSet, name) for each in every for one in each.device.consumesCounters for name in one.counters}
    places = {one.place for one in pool.candidates}
    return len(places) == len(pool.candidates) and drawn <= pool.counters.keys()


def _reaches(piece: ResourceSlice, device: Device, node: Node) -> bool:
    """Whether a device can be used from the node."""
    return _placed(device if piece.spec.perDeviceNodeSelection else piece.spec, node)


def _placed(where: ResourceSliceSpec | Device, node: Node) -> bool:
    """Whether that is for the node."""
    if where.nodeName is not None:
        return where.nodeName == node.metadata.name
    return bool(where.allNodes) or (where.nodeSelector is not None and nodefit.matches(where.nodeSelector, node))


def allocate(
    claims: Sequence[ResourceClaim],
    pools: Sequence[Pool],
    class_of: Callable[[str], DeviceClass | None],
    taken: Collection[Place],
    node: Node,
) -> list[AllocationResult] | None:
    """What each claim gets on the node, None if not all can get what they ask for.

    class_of: the class of a name. taken: devices that claims hold already. Raises Unfit.
    """
    return _Search(claims, pools, class_of, taken).run(node)


class _Search:
    """One allocation in the making: choices are made depth first, and taken back where they lead nowhere."""

    def __init__(
        self,
        claims: Sequence[ResourceClaim],
        pools: Sequence[Pool],
        class_of: Callable[[str], DeviceClass | None],
        taken: Collection[Place],
    ) -> None:
        self.claims, self.pools, self.class_of = claims, pools, class_of
        self.taken = frozenset(taken)
        self.busy: Counter[Place] = Counter()  # devices chosen here, those for administrators too
        self.chosen: list[list[_Chosen]] = [[] for _ in claims]
        self.steps = 0
        self.counters: dict[tuple[str, str], Amounts] = {}
        for pool in pools:
            left = self.counters[pool.driver, pool.name] = dict(pool.counters)
            for candidate in (*pool.candidates, *pool.others):
                if candidate.place in self.taken:
                    _draw(left, candidate.device, back=False)
        self.fitting: dict[tuple[int, str, Place], bool] = {}
        self.asked = [[self._ready(number, one) for one in claim.spec.devices.requests]
                      for number, claim in enumerate(claims)]  # fmt: skip

    def run(self, node: Node) -> list[AllocationResult] | None:
        """Find the devices."""
        if not self._request(0, 0):
            if any(pool.unfit == "invalid" for pool in self.pools):
                raise Unfit("invalid resource pools were encountered")
            return None
        return [self._result(number, claim, node) for number, claim in enumerate(self.claims)]

    # What is asked

    def _ready(self, number: int, request: DeviceRequest) -> list[_Asked]:
        """The alternatives of a request, or the one that it is."""
        found: list[tuple[str, ExactDeviceRequest | DeviceSubRequest]] = [
            (f"{request.name}/{one.name}", one) for one in request.firstAvailable
        ]
        if request.exactly is not None:
            found = [(request.name, request.exactly)]
        return [self._one(number, name, request.name, one) for name, one in found]

    def _one(self, number: int, name: str, parent: str, request: ExactDeviceRequest | DeviceSubRequest) -> _Asked:
        cls = self.class_of(request.deviceClassName)
        own = self.claims[number].metadata
        start = f"claim {own.namespace}/{own.name}, request {name}"
        if cls is None:
            raise Unfit(f"{start}: could not retrieve device class {request.deviceClassName}")
        asked = _Asked(name, parent, request, cls, None)
        if request.allocationMode != "All":
            return asked
        for pool in self.pools:
            if pool.unfit:
                place = f"{pool.driver}/{pool.name}"
                raise Unfit(f"{start}: asks for all devices, but resource pool {place} is currently {pool.unfit}")
        every = (one for pool in self.pools for one in pool.candidates)
        return asked._replace(every=tuple(one for one in every if self._selects(number, asked, one)))

    def _selects(self, number: int, asked: _Asked, candidate: Candidate) -> bool:
        """Whether the selectors of class and request let a device through, and it can be used from the node.

        Selectors are asked first: where they fail, that shows whatever node the device is for.
        """
        key = (number, asked.name, candidate.place)
        known = self.fitting.get(key)
        if known is None:
            known = self.fitting[key] = self._picks(number, asked, candidate)
        return known

    def _picks(self, number: int, asked: _Asked, candidate: Candidate) -> bool:
        selectors: tuple[DeviceSelector, ...] = (*asked.cls.spec.selectors, *asked.request.selectors)
        for place, one in enumerate(selectors):
            if one.cel is None:
                continue
            try:
                if not matches(one.cel.expression, candidate.place.driver, candidate.device):
                    return False
            except CelFailure as error:
                own = self.claims[number].metadata
                text = f"claim {own.namespace}/{own.name}: selector #{place}: CEL runtime error: {error}"
                raise Unfit(text) from None
        return candidate.here

    # The search

    def _request(self, claim: int, request: int) -> bool:
        """Serve this request and all behind it."""
        if claim == len(self.claims):
            return True
        if request == len(self.asked[claim]):
            return self._request(claim + 1, 0)
        return any(self._devices(claim, request, one, 0, 0) for one in self.asked[claim][request])

    def _devices(self, claim: int, request: int, asked: _Asked, have: int, start: int) -> bool:
        """Find what is missing of a request, then go on."""
        wanted = asked.request.count if asked.every is None else len(asked.every)
        if asked.every is not None and not asked.every:
            return False
        if len(self.chosen[claim]) + wanted - have > MOST_RESULTS:
            return False
        if have == wanted:
            return self._request(claim, request + 1)
        if asked.every is not None:
            return self._try(claim, request, asked, have, start, asked.every[have])
        offered = [one for pool in self.pools if not pool.unfit for one in pool.candidates]
        # Devices of a request are alike, so only later ones are tried after one.
        for position in range(start, len(offered)):
            one = offered[position]
            usable = self._free(claim, asked, one.place) and self._selects(claim, asked, one)
            if usable and self._try(claim, request, asked, have, position + 1, one):
                return True
        return False

    def _free(self, claim: int, asked: _Asked, place: Place) -> bool:
        """Nobody has the device; for administrators: this claim has it not."""
        if asked.admin:
            return all(one.candidate.place != place for one in self.chosen[claim])
        return place not in self.taken and not self.busy[place]

    def _try(self, claim: int, request: int, asked: _Asked, have: int, start: int, one: Candidate) -> bool:
        """Take a device and go on; give it back if that leads nowhere."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Unfit(f"no allocation was found with {MOST_STEPS} devices tried")
        mine, place = self.chosen[claim], one.place
        left = self.counters[place.driver, place.pool]
        if not self._free(claim, asked, place) or _kept_off(asked, one.device) or not _enough(left, one.device):
            return False
        mine.append(_Chosen(asked, one))
        self.busy[place] += 1
        _draw(left, one.device, back=False)
        constraints = self.claims[claim].spec.devices.constraints
        if all(_holds(each, mine) for each in constraints) and self._devices(claim, request, asked, have + 1, start):
            return True
        mine.pop()
        self.busy[place] -= 1
        _draw(left, one.device, back=True)
        return False

    # The result

    def _result(self, number: int, claim: ResourceClaim, node: Node) -> AllocationResult:
        chosen = self.chosen[number]
        results = tuple(
            DeviceRequestAllocationResult(
                request=one.asked.name,
                driver=one.candidate.place.driver,
                pool=one.candidate.place.pool,
                device=one.candidate.place.device,
                adminAccess=True if one.asked.admin else None,
                tolerations=one.asked.request.tolerations,
                bindingConditions=one.candidate.device.bindingConditions,
                bindingFailureConditions=one.candidate.device.bindingFailureConditions,
            )
            for one in chosen
        )
        devices = DeviceAllocationResult(results=results, config=_configuration(claim, chosen))
        return AllocationResult(devices=devices, nodeSelector=_nodes(chosen, node))


def _kept_off(asked: _Asked, device: Device) -> bool:
    """A taint of the device keeps the request away; who administrates needs a toleration too."""
    serious = (one for one in device.taints if one.effect in ("NoSchedule", "NoExecute"))
    return any(not any(tolerates(each, one) for each in asked.request.tolerations) for one in serious)


def _enough(left: Amounts, device: Device) -> bool:
    return all(
        (one.counterSet, name) in left and left[one.counterSet, name].cmp(counter.value) >= 0
        for one in device.consumesCounters
        for name, counter in one.counters.items()
    )


def _draw(left: Amounts, device: Device, *, back: bool) -> None:
    """Take what a device draws from the counters, or give it back."""
    for one in device.consumesCounters:
        for name, counter in one.counters.items():
            key = (one.counterSet, name)
            if key in left:
                left[key] = left[key].plus(counter.value) if back else left[key].minus(counter.value)


def _holds(constraint: DeviceConstraint, chosen: Sequence[_Chosen]) -> bool:
    """Whether a constraint holds of the devices so far: the same attribute everywhere, or another everywhere."""
    concerned = [
        one
        for one in chosen
        if not constraint.requests or {one.asked.name, one.asked.parent}.intersection(constraint.requests)
    ]
    name = constraint.matchAttribute or constraint.distinctAttribute or ""
    values = [_value(name, one.candidate) for one in concerned]
    if None in values:
        return False
    different = len({codec.encode(value) for value in values if value is not None})
    return different <= 1 if constraint.matchAttribute is not None else different == len(values)


def _value(name: str, candidate: Candidate) -> DeviceAttribute | None:
    """An attribute by its full name; those without a domain are of the driver's own."""
    domain, _, bare = name.partition("/")
    attributes = candidate.device.attributes
    found = attributes.get(name)
    return attributes.get(bare) if found is None and domain == candidate.place.driver else found


def _configuration(claim: ResourceClaim, chosen: Sequence[_Chosen]) -> tuple[DeviceAllocationConfiguration, ...]:
    """Of the classes for their requests, then of the claim; for all requests if all are meant."""
    asked = list({one.asked.name: one.asked for one in chosen}.values())
    found: list[DeviceAllocationConfiguration] = []
    classes = {one.cls.metadata.name: one.cls for one in asked}
    for name, cls in classes.items():
        users = tuple(one.name for one in asked if one.cls.metadata.name == name)
        users = () if len(users) == len(asked) else users
        for config in cls.spec.config:
            found.append(DeviceAllocationConfiguration(source="FromClass", requests=users, opaque=config.opaque))
    for own in claim.spec.devices.config:
        meant = [one for one in asked if {one.name, one.parent}.intersection(own.requests)]
        if own.requests and not meant:
            continue
        requests = () if len(meant) == len(asked) else own.requests
        found.append(DeviceAllocationConfiguration(source="FromClaim", requests=requests, opaque=own.opaque))
    return tuple(found)


def _nodes(chosen: Sequence[_Chosen], node: Node) -> NodeSelector | None:
    """From which nodes the devices can be used; None for all."""
    expressions: list[NodeSelectorRequirement] = []
    fields: list[NodeSelectorRequirement] = []
    for one in chosen:
        spec, device = one.candidate.slice.spec, one.candidate.device
        where = device if spec.perDeviceNodeSelection else spec
        if where.nodeName is not None or device.bindsToNode:
            wanted = NodeSelectorRequirement(key="metadata.name", operator="In", values=(node.metadata.name,))
            return NodeSelector(nodeSelectorTerms=(NodeSelectorTerm(matchFields=(wanted,)),))
        for term in where.nodeSelector.nodeSelectorTerms if where.nodeSelector is not None else ():
            expressions += (each for each in term.matchExpressions if each not in expressions)
            fields += (each for each in term.matchFields if each not in fields)
    if not expressions and not fields:
        return None
    term = NodeSelectorTerm(matchExpressions=tuple(expressions), matchFields=tuple(fields))
    return NodeSelector(nodeSelectorTerms=(term,))
