"""Claims to devices: made for pods, reserved, given back and deleted; the pure plans and the real API server."""

from __future__ import annotations

from typing import Any

from kijabi.api import codec
from kijabi.api.core.event import Event
from kijabi.api.core.pod import Pod, PodResourceClaim
from kijabi.api.core.podstatus import PodExtendedResourceClaimStatus, PodResourceClaimStatus
from kijabi.api.dra.devicerequest import DeviceClaim, DeviceRequest, ExactDeviceRequest
from kijabi.api.dra.resourceclaim import (
    AllocationResult,
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimSpec,
)
from kijabi.api.dra.resourceclaimtemplate import ResourceClaimTemplate, ResourceClaimTemplateSpec
from kijabi.api.meta import ObjectMeta, OwnerReference
from kijabi.controllers.resourceclaim import (
    FINALIZER,
    POD_CLAIM,
    ClaimPlan,
    PodPlan,
    base_name,
    claims_of,
    make_claim,
    plan_claim,
    plan_pod,
)
from tests.controllers.stories import simple_pod
from tests.controllers.things import ago, pod
from tests.controllers.world import World, play

SPEC = ResourceClaimSpec(
    devices=DeviceClaim(requests=(DeviceRequest(name="one", exactly=ExactDeviceRequest(deviceClassName="gpu")),))
)
GPU = PodResourceClaim(name="gpu", resourceClaimTemplateName="gpus")
SHARED = PodResourceClaim(name="net", resourceClaimName="shared")


def user(*wanted: PodResourceClaim, node: str = "", made: dict[str, str | None] | None = None, **more: Any) -> Pod:
    one = pod("p", node=node, phase=more.pop("phase", "Pending"), ready=None, **more)
    one.metadata.uid = "pod-uid"
    one.spec.resourceClaims = wanted
    one.status.resourceClaimStatuses = tuple(
        PodResourceClaimStatus(name=name, resourceClaimName=claim) for name, claim in (made or {}).items()
    )
    return one


def claim(name: str = "c", *users: str, of: str = "", allocated: bool = False, kept: bool = False) -> ResourceClaim:
    refs = (OwnerReference(apiVersion="v1", kind="Pod", name="p", uid=of, controller=True),) if of else ()
    meta = ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}", ownerReferences=refs)
    meta.annotations = {POD_CLAIM: "gpu"} if of else {}
    meta.finalizers = (FINALIZER,) if kept else ()
    made = ResourceClaim(metadata=meta, spec=SPEC)
    made.status.reservedFor = tuple(ResourceClaimConsumerReference(resource="pods", name=uid, uid=uid) for uid in users)
    made.status.allocation = AllocationResult() if allocated else None
    return made


def look(one: Pod, *known: ResourceClaim) -> PodPlan:
    owned = [each for each in known if any(ref.uid == one.metadata.uid for ref in each.metadata.ownerReferences)]
    return plan_pod(one, {each.metadata.name: each for each in known}.get, owned)


def test_a_claim_is_made_once_for_each_template() -> None:
    assert look(user(GPU)) == PodPlan(make=(GPU,))
    assert look(user(GPU), claim("lost", of="pod-uid")) == PodPlan(names=(("gpu", "lost"),)), "status was not written"
    named = user(GPU, made={"gpu": "c"})
    assert look(named, claim(of="pod-uid")) == PodPlan()
    assert look(named).make == (GPU,), "deleted by somebody"
    assert look(named, claim(of="another")).make == (GPU,), "of another pod of that name"
    assert look(user(GPU, made={"gpu": None})) == PodPlan(), "none is needed"
    assert look(user(SHARED)) == PodPlan(), "that one is the user's to make"
    assert look(user(GPU, deleting=True)) == PodPlan()


def test_a_pod_on_a_node_reserves_what_it_uses() -> None:
    free, held = claim("shared", "x"), claim("shared", "x", allocated=True)
    assert look(user(SHARED, node="n1"), free).reserve == ()
    assert look(user(SHARED, node="n1"), held).reserve == (held,)
    assert look(user(SHARED), held).reserve == (), "the scheduler does it"
    assert look(user(SHARED, node="n1"), claim("shared", "pod-uid", allocated=True)).reserve == ()


def test_who_is_gone_reserves_nothing_and_the_last_gives_back() -> None:
    one = claim("c", "a", "b", allocated=True, kept=True)
    assert plan_claim(one, {"a"}, None) == ClaimPlan((one.status.reservedFor[1],))
    assert plan_claim(one, {"a", "b"}, None) == ClaimPlan((), deallocate=True, release=True)
    assert plan_claim(one, (), None) == ClaimPlan()
    assert plan_claim(claim(allocated=True, kept=True), (), None) == ClaimPlan(), "never used: it stays allocated"
    going = claim(allocated=True, kept=True)
    going.metadata.deletionTimestamp = ago(1)
    assert plan_claim(going, (), None) == ClaimPlan(deallocate=True, release=True)
    assert plan_claim(claim("c", "a", allocated=True), {"a"}, None) == ClaimPlan(()), "not ours to give back"


def test_a_claim_goes_with_the_pod_that_will_not_run() -> None:
    mine = claim(of="pod-uid")
    assert plan_claim(mine, (), None).delete is False, "the garbage collector's"
    assert plan_claim(mine, (), user(GPU)).delete is False
    assert plan_claim(mine, (), user(GPU, phase="Succeeded")).delete is True
    assert plan_claim(mine, (), user(GPU, deleting=True)).delete is True
    assert plan_claim(mine, (), user(GPU, node="n1", deleting=True)).delete is False
    assert plan_claim(claim(of="older"), (), user(GPU)).delete is True
    assert plan_claim(claim("c", "pod-uid", of="pod-uid"), (), user(GPU, phase="Failed")).delete is False


def test_names() -> None:
    assert base_name("web", "gpu") == "web-gpu"
    long = base_name("a" * 60, "b" * 30)
    assert (len(long) <= 57, long.count("a"), long.count("b")) == (True, 37, 18)
    one = user(GPU, SHARED, made={"gpu": "c"})
    one.status.extendedResourceClaimStatus = PodExtendedResourceClaimStatus(resourceClaimName="extended")
    assert claims_of(one) == ["c", "shared", "extended"]


def test_what_a_template_gives() -> None:
    given = ObjectMeta(labels={"a": "b"}, annotations={"x": "y"})
    template = ResourceClaimTemplate(spec=ResourceClaimTemplateSpec(metadata=given, spec=SPEC))
    made = make_claim(user(GPU), GPU, template, "p-gpu-x")
    assert (made.metadata.labels, made.metadata.annotations) == ({"a": "b"}, {"x": "y", POD_CLAIM: "gpu"})
    assert codec.encode(made.spec) == codec.encode(SPEC)
    assert made.metadata.ownerReferences[0].uid == "pod-uid"


def test_from_template_to_the_end_of_the_pod() -> None:
    async def story(world: World) -> None:
        worker = simple_pod("worker")
        worker.spec.resourceClaims = (GPU,)
        worker.spec.restartPolicy = "Never"
        worker.spec.nodeSelector = {"later": "yes"}
        await world.client.create(worker)

        async def told() -> bool:
            return any(one.reason == "FailedResourceClaimCreation" for one in (await world.client.list(Event)).items)

        await world.until(told)
        template = ResourceClaimTemplate(
            metadata=ObjectMeta(name="gpus", namespace="ns"), spec=ResourceClaimTemplateSpec(spec=SPEC)
        )
        await world.client.create(template)

        async def named() -> str | None:
            live = await world.client.get(Pod, "worker", "ns")
            return next((one.resourceClaimName for one in live.status.resourceClaimStatuses), None)

        name = await world.until(named)
        made = await world.client.get(ResourceClaim, name, "ns")
        assert name.startswith("worker-gpu-")
        live = await world.client.get(Pod, "worker", "ns")
        made.metadata.finalizers = (FINALIZER,)
        made = await world.client.update(made)
        made.status.allocation = AllocationResult()
        made.status.reservedFor = (
            ResourceClaimConsumerReference(resource="pods", name="worker", uid=live.metadata.uid),
        )
        await world.client.update_status(made)
        assert len((await world.client.list(ResourceClaim, "ns")).items) == 1
        status = {"metadata": {"uid": live.metadata.uid}, "status": {"phase": "Failed"}}
        await world.client.patch(Pod, "worker", status, namespace="ns", subresource="status")
        await world.gone(ResourceClaim, name, "ns")

    play(story)
