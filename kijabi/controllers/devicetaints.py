"""Device taint eviction: pods leave devices whose NoExecute taints their claims do not tolerate, or not for longer.

Receives pods, claims, slices and DeviceTaintRules from the informers; deletes pods gracefully, and tells in the status
of a rule how far its eviction is, or what it would do. What a taint means is in `kijabi/api/dra/taints.py`;
`claim_exit`, `pod_exit` and `progress` are pure. Source: resource.k8s.io/v1 DeviceTaintRule; KEP-5055;
k8s.io/kubernetes `pkg/controller/devicetainteviction`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.api.dra.devicetaintrule import DeviceTaintRule
from kijabi.api.dra.podclaims import claim_name, made_for, reserved_for
from kijabi.api.dra.resourceclaim import ResourceClaim
from kijabi.api.dra.resourceslice import ResourceSlice
from kijabi.api.dra.taints import EXECUTE, Place, current, device_in, marks, selects, until
from kijabi.api.meta import Condition, Time
from kijabi.base import clock
from kijabi.client.cache import key_of
from kijabi.controllers import pods as podlib
from kijabi.controllers import removal
from kijabi.controllers.resourceclaim import CLAIM, pods_with_claims, resource_claims
from kijabi.controllers.runtime import WORKERS, Context, Source

PERIOD = 10.0
"""Seconds between two writes of a rule's progress at least, and between two counts of its pods."""
IN_PROGRESS = "EvictionInProgress"
POOL, ALLOCATED = "pool", "allocated"
_POD, _RULE = "pod:", "rule:"
_REASON, _TEXT = "DeletionByDeviceTaintManager", "Device Taint manager: deleting due to NoExecute taint"

Slices = Callable[[Place], Sequence[ResourceSlice]]
"""All slices of the pool that a device is of."""


class Exit(NamedTuple):
    """When somebody must leave (seconds since the epoch), and the names of the rules that are among the reasons."""

    when: float
    rules: frozenset[str] = frozenset()


class Toll(NamedTuple):
    """What a rule meets. pods: namespaces of those that it evicts, or would; published and allocated: devices that it
    selects; evicted: pods that this process evicted for it.
    """

    pods: Sequence[str] = ()
    published: int = 0
    allocated: int = 0
    evicted: int = 0


def places(claim: ResourceClaim) -> list[Place]:
    """The devices that a claim holds."""
    held = claim.status.allocation
    return [Place(one.driver, one.pool, one.device) for one in held.devices.results] if held is not None else []


def claim_exit(claim: ResourceClaim, slices: Slices, rules: Iterable[DeviceTaintRule]) -> Exit | None:
    """When who uses a claim must leave its devices; None if nothing drives them off. rules: those that evict."""
    held, rules = claim.status.allocation, tuple(rules)
    ends: list[float] = []
    names: set[str] = set()
    for result in held.devices.results if held is not None else ():
        place = Place(result.driver, result.pool, result.device)
        for mark in marks(place, device_in(slices(place), place.device), rules):
            end = until(mark, result.tolerations) if mark.taint.effect == EXECUTE else None
            if end is not None:
                ends.append(end)
                names.update([mark.rule.metadata.name] if mark.rule is not None else ())
    return Exit(min(ends), frozenset(names)) if ends else None


def pod_exit(pod: Pod, exits: Iterable[Exit | None]) -> Exit | None:
    """When a pod must go, by the exits of its claims; one without a node, or that has ended, need not."""
    if not pod.spec.nodeName or podlib.terminal(pod):
        return None
    found = [one for one in exits if one is not None]
    if not found:
        return None
    return Exit(min(one.when for one in found), frozenset().union(*(one.rules for one in found)))


def progress(rule: DeviceTaintRule, toll: Toll, now: datetime) -> Condition:
    """The condition that tells of a rule's eviction; as it stands, if there is no news."""
    kind, counted = IN_PROGRESS, len(toll.pods)
    namespaces = len(set(toll.pods))
    status, text = "False", ""
    match rule.spec.taint.effect:
        case "NoExecute" if counted:
            status, reason = "True", "PodsPendingEviction"
            pods = "1 pod needs" if counted == 1 else f"{counted} pods need"
            text = f"{pods} to be evicted in {_namespaces(namespaces)}."
        case "NoExecute":
            reason = "Completed" if toll.evicted else "NotStarted"
        case "None":
            reason = "NoEffect"
            text = (
                f"{_count(toll.published, 'published device')} selected. "
                f"{_count(toll.allocated, 'allocated device')} selected. {_count(counted, 'pod')} would be evicted in "
                f"{_namespaces(namespaces)} if the effect was NoExecute. This information will not be updated again. "
                "Recreate the DeviceTaintRule to trigger an update."
            )
        case _:
            reason, text = "OtherEffect", "Eviction only happens for the NoExecute effect."
    if toll.evicted:
        done = f"{_count(toll.evicted, 'pod')} evicted since starting the controller."
        text = f"{text} {done}" if text else done
    before = next((one for one in rule.status.conditions if one.type == kind), None)
    made = Condition(
        type=kind, status=status, reason=reason, message=text, observedGeneration=rule.metadata.generation,
        lastTransitionTime=before.lastTransitionTime if before is not None else Time.of(now),
    )  # fmt: skip
    return made if made == before else replace(made, lastTransitionTime=Time.of(now))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _namespaces(number: int) -> str:
    return "1 namespace" if number == 1 else f"{number} different namespaces"


def _pool_of_slice(piece: ResourceSlice) -> tuple[str]:
    return (f"{piece.spec.driver}/{piece.spec.pool.name}",)


def _pools_of_claim(claim: ResourceClaim) -> list[str]:
    return [f"{place.driver}/{place.pool}" for place in places(claim)]


def _allocated(claim: ResourceClaim) -> tuple[str, ...]:
    return (ALLOCATED,) if claim.status.allocation is not None else ()


class DeviceTaints:
    """The controller. A key is `pod:namespace/name`, or `rule:name` for a rule whose status may change."""

    name = "device-taint-eviction"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        informers = context.informers
        self.client = context.client
        self.recorder = context.recorder("device-taint-eviction-controller")
        self.pods = pods_with_claims(informers)
        resource_claims(informers)
        self.claims = informers.of(ResourceClaim, indexes={POOL: _pools_of_claim, ALLOCATED: _allocated})
        self.slices = informers.of(ResourceSlice, indexes={POOL: _pool_of_slice})
        self.rules = informers.of(DeviceTaintRule)
        self._due: set[str] = set()  # pods that were told when they must go
        self._evicted: dict[str, int] = {}  # pods evicted, by the uid of the rule that wanted it
        self._counted: dict[str, float] = {}  # when the pods of a rule were counted last, by its uid

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.pods, self._keys_of_pod),
            Source(self.claims, self._keys_of_claim),
            Source(self.slices, self._keys_of_slice),
            Source(self.rules, self._keys_of_rule),
        )

    # What wakes it

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """Only its node and its claims matter, and, to the rules that drive it off, that it goes."""
        pod = new if new is not None else old
        if pod is None or not pod.spec.resourceClaims:
            return ()
        going = new is None or new.metadata.deletionTimestamp is not None
        if old is not None and new is not None and not going:
            same = old.spec.nodeName == new.spec.nodeName
            if same and old.status.resourceClaimStatuses == new.status.resourceClaimStatuses:
                return ()
        exit_ = self._exit(pod)
        rules = [_RULE + name for name in exit_.rules] if exit_ is not None else []
        return [_POD + key_of(pod), *rules]

    def _keys_of_claim(self, old: ResourceClaim | None, new: ResourceClaim | None) -> Iterable[str]:
        claims = [claim for claim in (old, new) if claim is not None]
        held = {place for claim in claims for place in places(claim)}
        driving = (one for one in self.rules.items() if one.spec.taint.effect == EXECUTE) if held else ()
        rules = {_RULE + one.metadata.name for one in driving if any(selects(one, place) for place in held)}
        return rules | {key for claim in claims for key in self._users(claim)}

    def _keys_of_slice(self, old: ResourceSlice | None, new: ResourceSlice | None) -> Iterable[str]:
        """The users of its pool, if there is or was a taint that evicts: a new generation makes others obsolete."""
        pieces = [one for one in (old, new) if one is not None]
        pools = {name for piece in pieces for name in _pool_of_slice(piece)}
        siblings = [one for name in pools for one in self.slices.index(POOL, name)]
        if not any(_evicts(piece) for piece in (*pieces, *siblings)):
            return ()
        return {key for name in pools for claim in self.claims.index(POOL, name) for key in self._users(claim)}

    def _keys_of_rule(self, old: DeviceTaintRule | None, new: DeviceTaintRule | None) -> Iterable[str]:
        rules = [one for one in (old, new) if one is not None]
        if old is not None and new is not None and old.metadata.uid == new.metadata.uid and old.spec == new.spec:
            return ()
        if old is not None and (new is None or old.metadata.uid != new.metadata.uid):
            self._evicted.pop(old.metadata.uid, None)
            self._counted.pop(old.metadata.uid, None)
        keys = {_RULE + new.metadata.name} if new is not None else set()
        evicting = [one for one in rules if one.spec.taint.effect == EXECUTE]
        for claim in self.claims.index(ALLOCATED, ALLOCATED) if evicting else ():
            if any(selects(rule, place) for rule in evicting for place in places(claim)):
                keys.update(self._users(claim))
        return keys

    def _users(self, claim: ResourceClaim) -> list[str]:
        """Keys of the pods that a claim is reserved for."""
        users = [one for one in claim.status.reservedFor if (one.apiGroup, one.resource) == ("", "pods")]
        return [f"{_POD}{claim.metadata.namespace}/{one.name}" for one in users]

    # What is true now

    def _slices_of(self, place: Place) -> Sequence[ResourceSlice]:
        return self.slices.index(POOL, f"{place.driver}/{place.pool}")

    def _exit(self, pod: Pod, extra: DeviceTaintRule | None = None) -> Exit | None:
        """When a pod must go. extra: a rule that counts as if it evicted."""
        rules = [one for one in self.rules.items() if one.spec.taint.effect == EXECUTE]
        rules += [extra] if extra is not None else []
        exits: list[Exit | None] = []
        for wanted in pod.spec.resourceClaims:
            name = claim_name(pod, wanted)
            claim: ResourceClaim | None = self.claims.get(f"{pod.metadata.namespace}/{name}") if name else None
            if claim is None or (wanted.resourceClaimName is None and not made_for(pod, claim)):
                continue
            if reserved_for(pod, claim):
                exits.append(claim_exit(claim, self._slices_of, rules))
        return pod_exit(pod, exits)

    def _toll(self, rule: DeviceTaintRule) -> Toll:
        """What a rule meets now; one without effect as if it evicted."""
        evicted = self._evicted.get(rule.metadata.uid, 0)
        effect = rule.spec.taint.effect
        if effect not in (EXECUTE, "None"):
            return Toll(evicted=evicted)
        extra = None
        if effect == "None":
            extra = replace(rule, spec=replace(rule.spec, taint=replace(rule.spec.taint, effect=EXECUTE)))
        met: dict[str, Pod] = {}
        allocated = 0
        for claim in self.claims.index(ALLOCATED, ALLOCATED):
            selected = sum(selects(rule, place) for place in places(claim))
            allocated += selected
            for pod in self.pods.index(CLAIM, key_of(claim)) if selected else ():
                exit_ = self._exit(pod, extra) if pod.metadata.deletionTimestamp is None else None
                if exit_ is not None and rule.metadata.name in exit_.rules:
                    met[pod.metadata.uid] = pod
        published = self._published(rule) if effect == "None" else 0
        return Toll([pod.metadata.namespace for pod in met.values()], published, allocated, evicted)

    def _published(self, rule: DeviceTaintRule) -> int:
        """How many devices in slices a rule selects."""
        pools = [self.slices.index(POOL, name) for name in self.slices.index_values(POOL)]
        return sum(
            selects(rule, Place(piece.spec.driver, piece.spec.pool.name, device.name))
            for pool in pools
            for piece in current(pool)
            for device in piece.spec.devices
        )

    # What is done

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_RULE):
            return await self._tell(key.removeprefix(_RULE))
        key = key.removeprefix(_POD)
        pod: Pod | None = self.pods.get(key)
        if pod is None or pod.metadata.deletionTimestamp is not None:
            self._due.discard(key)
            return None
        exit_ = self._exit(pod)
        if exit_ is None:
            if key in self._due:
                self._due.discard(key)
                self.recorder.event(pod, "Normal", "DeviceTaintManagerEviction", "Cancelling deletion")
            return None
        wait = exit_.when - clock.wall()
        if wait > 0:
            self._due.add(key)
            return wait
        self._due.discard(key)
        self.recorder.event(pod, "Normal", "DeviceTaintManagerEviction", "Marking for deletion")
        await removal.evict(self.client, pod, _REASON, _TEXT)
        for name in exit_.rules:
            rule: DeviceTaintRule | None = self.rules.get(name)
            if rule is not None:
                self._evicted[rule.metadata.uid] = self._evicted.get(rule.metadata.uid, 0) + 1
        return None

    async def _tell(self, name: str) -> float | None:
        """Write how far a rule's eviction is, at once when it is new, and not too often then."""
        rule: DeviceTaintRule | None = self.rules.get(name)
        if rule is None:
            return None
        before = next((one for one in rule.status.conditions if one.type == IN_PROGRESS), None)
        known = before is not None and before.observedGeneration == rule.metadata.generation
        now, uid = clock.wall(), rule.metadata.uid
        if known and before is not None:
            last = max(before.lastTransitionTime.timestamp(), self._counted.get(uid, 0.0))
            if now - last < PERIOD:
                return last + PERIOD - now
            if rule.spec.taint.effect == "None":
                return None
        self._counted[uid] = now
        made = progress(rule, self._toll(rule), clock.now())
        if made != before:
            changed = codec.clone(rule)
            others = (one for one in rule.status.conditions if one.type != IN_PROGRESS)
            changed.status.conditions = (*others, made)
            await self.client.update_status(changed)
        return None


def _evicts(piece: ResourceSlice) -> bool:
    return any(taint.effect == EXECUTE for device in piece.spec.devices for taint in device.taints)
