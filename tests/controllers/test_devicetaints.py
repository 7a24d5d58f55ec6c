"""Device taints: who must leave which device when, what a rule tells of itself; the plans and the real API server."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.core.event import Event
from kijabi.api.core.pod import Pod, PodResourceClaim
from kijabi.api.dra.devicerequest import DeviceClaim, DeviceRequest, DeviceToleration, ExactDeviceRequest
from kijabi.api.dra.devicetaintrule import (
    DeviceTaint,
    DeviceTaintRule,
    DeviceTaintRuleSpec,
    DeviceTaintSelector,
)
from kijabi.api.dra.resourceclaim import (
    AllocationResult,
    DeviceAllocationResult,
    DeviceRequestAllocationResult,
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimSpec,
)
from kijabi.api.dra.resourceslice import Device, ResourcePool, ResourceSlice, ResourceSliceSpec
from kijabi.api.dra.taints import Place, selects, tolerates
from kijabi.api.meta import ObjectMeta
from kijabi.controllers import pods as podlib
from kijabi.controllers.devicetaints import Exit, Toll, claim_exit, pod_exit, progress
from tests.controllers.stories import simple_pod
from tests.controllers.things import NOW, ago, pod
from tests.controllers.world import World, play

AT = NOW.timestamp()


def taint(effect: str = "NoExecute", key: str = "sick", *, age: float = 10) -> DeviceTaint:
    return DeviceTaint(key=key, value="very", effect=effect, timeAdded=ago(age))


def rule(name: str = "r", effect: str = "NoExecute", *, age: float = 10, **selector: str) -> DeviceTaintRule:
    spec = DeviceTaintRuleSpec(deviceSelector=DeviceTaintSelector(**selector), taint=taint(effect, age=age))
    return DeviceTaintRule(metadata=ObjectMeta(name=name, uid=f"uid-{name}", generation=1), spec=spec)


def claim(*devices: str, tolerations: tuple[DeviceToleration, ...] = ()) -> ResourceClaim:
    made = ResourceClaim(metadata=ObjectMeta(name="c", namespace="ns", uid="uid-c"))
    made.spec = ResourceClaimSpec(
        devices=DeviceClaim(requests=(DeviceRequest(name="one", exactly=ExactDeviceRequest(deviceClassName="gpu")),))
    )
    results = tuple(
        DeviceRequestAllocationResult(request="one", driver="d", pool="p", device=name, tolerations=tolerations)
        for name in devices
    )
    made.status.allocation = AllocationResult(devices=DeviceAllocationResult(results=results))
    return made


def piece(name: str, generation: int = 1, **devices: tuple[DeviceTaint, ...]) -> ResourceSlice:
    spec = ResourceSliceSpec(
        driver="d",
        pool=ResourcePool(name="p", generation=generation, resourceSliceCount=1),
        nodeName="n1",
        devices=tuple(Device(name=each, taints=taints) for each, taints in devices.items()),
    )
    return ResourceSlice(metadata=ObjectMeta(name=name), spec=spec)


def look(one: ResourceClaim, *slices: ResourceSlice, rules: tuple[DeviceTaintRule, ...] = ()) -> Exit | None:
    return claim_exit(one, lambda place: slices, rules)


def test_a_taint_of_the_slice_drives_users_off_at_once() -> None:
    assert look(claim("a"), piece("s", a=(taint(),), b=())) == Exit(AT - 10)
    assert look(claim("b"), piece("s", a=(taint(),), b=())) is None
    assert look(claim("a"), piece("s", a=(taint("NoSchedule"),))) is None
    assert look(claim("a"), piece("s", a=(taint(),)), piece("t", 2, a=())) is None, "of an older generation"


def test_a_rule_does_though_the_device_is_gone() -> None:
    assert look(claim("a"), rules=(rule(driver="d"),)) == Exit(AT - 10, frozenset({"r"}))
    assert look(claim("a"), rules=(rule(driver="other"),)) is None
    both = look(claim("a"), piece("s", a=(taint(age=99),)), rules=(rule(device="a"),))
    assert both == Exit(AT - 99, frozenset({"r"}))


@pytest.mark.parametrize(
    ("tolerations", "end"),
    [
        (({"operator": "Exists", "effect": "NoExecute"},), None),
        (({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},), AT + 20),
        (({"key": "sick", "value": "very", "effect": "NoExecute", "tolerationSeconds": 5},), AT - 5),
        (({"key": "sick", "value": "less", "effect": "NoExecute"},), AT - 10),
        (({"operator": "Exists"},), AT - 10),
        (({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": -3},), AT - 10),
        (
            (
                {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
                {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 40},
            ),
            AT + 30,
        ),
    ],
)
def test_tolerations(tolerations: tuple[dict[str, Any], ...], end: float | None) -> None:
    found = look(claim("a", tolerations=tuple(DeviceToleration(**one) for one in tolerations)), rules=(rule(),))
    assert (found.when if found is not None else None) == end


def test_the_parts_of_a_match() -> None:
    assert tolerates(DeviceToleration(operator="Exists"), taint())
    assert not tolerates(DeviceToleration(key="other", operator="Exists"), taint())
    assert not tolerates(DeviceToleration(operator="Sometimes"), taint())
    assert selects(rule(pool="p", device="a"), Place("d", "p", "a"))
    assert not selects(DeviceTaintRule(), Place("d", "p", "a"))


def test_the_first_exit_counts_and_only_for_who_runs() -> None:
    one = pod("x")
    exits = (Exit(5, frozenset("a")), None, Exit(3, frozenset("b")))
    assert pod_exit(one, exits) == Exit(3, frozenset("ab"))
    assert pod_exit(one, (None,)) is None
    assert pod_exit(pod("x", node=""), exits) is None
    assert pod_exit(pod("x", phase="Succeeded"), exits) is None


@pytest.mark.parametrize(
    ("effect", "toll", "status", "reason", "text"),
    [
        ("NoExecute", Toll(), "False", "NotStarted", ""),
        ("NoExecute", Toll(["a"]), "True", "PodsPendingEviction", "1 pod needs to be evicted in 1 namespace."),
        (
            "NoExecute",
            Toll(["a", "b", "b"], evicted=1),
            "True",
            "PodsPendingEviction",
            "3 pods need to be evicted in 2 different namespaces. 1 pod evicted since starting the controller.",
        ),
        ("NoExecute", Toll(evicted=2), "False", "Completed", "2 pods evicted since starting the controller."),
        ("NoSchedule", Toll(), "False", "OtherEffect", "Eviction only happens for the NoExecute effect."),
        (
            "None",
            Toll(["a"], published=4, allocated=1),
            "False",
            "NoEffect",
            "4 published devices selected. 1 allocated device selected. 1 pod would be evicted in 1 namespace if the "
            "effect was NoExecute. This information will not be updated again. Recreate the DeviceTaintRule to trigger "
            "an update.",
        ),
    ],
)
def test_what_a_rule_tells(effect: str, toll: Toll, status: str, reason: str, text: str) -> None:
    one = rule("r", effect)
    made = progress(one, toll, NOW)
    assert (made.status, made.reason, made.message) == (status, reason, text)
    one.status.conditions = (made,)
    assert progress(one, toll, NOW) == made


def test_a_rule_drives_a_pod_off_and_says_so() -> None:
    async def story(world: World) -> None:
        made = claim("a", tolerations=(DeviceToleration(operator="Exists", effect="NoExecute", tolerationSeconds=60),))
        held, made.status.allocation = made.status.allocation, None
        made = await world.client.create(made)
        user = simple_pod("user")
        user.spec.resourceClaims = (PodResourceClaim(name="gpu", resourceClaimName="c"),)
        live = await world.client.create(user)
        made.status.allocation = held
        reference = ResourceClaimConsumerReference(resource="pods", name="user", uid=live.metadata.uid)
        made.status.reservedFor = (reference,)
        await world.client.update_status(made)

        async def running() -> bool:
            return podlib.ready(await world.client.get(Pod, "user", "ns"))

        await world.until(running)
        wanted = rule("sick", driver="d")
        wanted.spec.taint.timeAdded = None
        wanted.metadata = ObjectMeta(name="sick")
        await world.client.create(wanted)

        async def told(reason: str) -> bool:
            conditions = (await world.client.get(DeviceTaintRule, "sick")).status.conditions
            return [one.reason for one in conditions] == [reason]

        await world.until(lambda: told("PodsPendingEviction"))
        assert await running(), "its toleration lasts a minute"
        await world.gone(Pod, "user", "ns")
        await world.until(lambda: told("Completed"))
        reasons = {one.message for one in (await world.client.list(Event, "ns")).items if "Device" in one.reason}
        assert reasons == {"Marking for deletion"}

    play(story)
