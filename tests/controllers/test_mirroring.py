"""Endpoints that somebody wrote become slices."""

from __future__ import annotations

from kijabi.api.core.endpoints import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.api.meta import ObjectMeta, time_now
from kijabi.controllers.endpointslicemirroring import MOST, SKIP, mirrored, plan, wanted
from kijabi.testing.faults import Faults
from tests.controllers.world import World, play


def by_hand(*ips: str, port: int = 80, unready: tuple[str, ...] = ()) -> Endpoints:
    subset = EndpointSubset(
        addresses=tuple(EndpointAddress(ip=ip) for ip in ips),
        notReadyAddresses=tuple(EndpointAddress(ip=ip) for ip in unready),
        ports=(EndpointPort(port=port),),
    )
    return Endpoints(metadata=ObjectMeta(name="db", namespace="ns", uid="u", labels={"a": "b"}), subsets=(subset,))


def a_service(**spec: object) -> Service:
    ports = (ServicePort(name="x", port=80, protocol="TCP"),)
    return Service(metadata=ObjectMeta(name="db", namespace="ns"), spec=ServiceSpec(ports=ports, **spec))  # type: ignore[arg-type]


def test_who_is_mirrored() -> None:
    one = by_hand("10.0.0.1")
    assert mirrored(one, a_service())
    assert not mirrored(one, None)
    assert not mirrored(None, a_service())
    assert not mirrored(one, a_service(selector={"app": "db"}))
    one.metadata.labels = {SKIP: "true"}
    assert not mirrored(one, a_service())


def test_families_ports_and_readiness() -> None:
    one = by_hand("10.0.0.1", "fd00::1", "nonsense", unready=("10.0.0.2",))
    target = wanted(one)
    assert target.invalid == 1
    content = {
        family: [(e.addresses, e.conditions.ready) for e in each] for (family, _), each in target.endpoints.items()
    }
    assert content == {"IPv4": [(("10.0.0.1",), True), (("10.0.0.2",), False)], "IPv6": [(("fd00::1",), True)]}
    made = plan(one, target, ()).create
    assert [each.metadata.labels["a"] for each in made] == ["b", "b"]


def test_a_slice_is_kept_while_it_says_the_same() -> None:
    one = by_hand("10.0.0.1")
    (made,) = plan(one, wanted(one), ()).create
    made.metadata.name = "db-abc"
    assert plan(one, wanted(one), (made,)) == ((), (), ())
    other = by_hand("10.0.0.9")
    (changed,) = plan(other, wanted(other), (made,)).update
    assert (changed.metadata.name, changed.endpoints[0].addresses) == ("db-abc", ("10.0.0.9",))


def test_a_slice_that_is_not_needed_becomes_one_that_is() -> None:
    one, moved = by_hand("10.0.0.1"), by_hand("10.0.0.1", port=81)
    (made,) = plan(one, wanted(one), ()).create
    made.metadata.name, made.metadata.uid = "db-abc", "slice-uid"
    (changed,), other = plan(moved, wanted(moved), (made,)).update, by_hand("fd00::1", port=81)
    assert (changed.metadata.name, changed.metadata.uid, changed.ports[0].port) == ("db-abc", "slice-uid", 81)
    todo = plan(other, wanted(other), (made,))
    assert (len(todo.create), todo.update, todo.delete) == (1, (), (made,))  # the family of a slice stays


def test_slices_of_endpoints_of_the_same_name_that_are_gone_change_hands() -> None:
    """Else the garbage collector would take them away with their owner."""
    one = by_hand("10.0.0.1")
    (made,) = plan(one, wanted(one), ()).create
    made.metadata.name = "db-abc"
    one.metadata.uid = "another"
    (changed,) = plan(one, wanted(one), (made,)).update
    assert (changed.metadata.name, changed.metadata.ownerReferences[0].uid) == ("db-abc", "another")


def test_endpoints_that_go_get_no_new_slices() -> None:
    one = by_hand("10.0.0.1")
    one.metadata.deletionTimestamp = time_now()
    assert plan(one, wanted(one), ()) == ((), (), ())


def test_pods_that_share_an_address_are_told_apart() -> None:
    pods = [ObjectReference(kind="Pod", namespace="ns", name=name, uid=name) for name in "ab"]
    one = by_hand()
    one.subsets[0].addresses = tuple(EndpointAddress(ip="10.0.0.1", targetRef=pod) for pod in pods)
    ((_, content),) = wanted(one).endpoints.items()
    assert [each.targetRef for each in content] == pods
    (made,) = plan(one, wanted(one), ()).create
    made.metadata.name, made.endpoints = "db-abc", made.endpoints[::-1]
    assert plan(one, wanted(one), (made,)) == ((), (), ())


def test_a_mapped_address_is_of_its_family() -> None:
    ((key, content),) = wanted(by_hand("::ffff:10.0.0.1")).endpoints.items()
    assert (key[0], content[0].addresses) == ("IPv4", ("10.0.0.1",))


def test_there_is_a_limit() -> None:
    assert wanted(by_hand(*(f"10.0.{n // 250}.{n % 250}" for n in range(MOST + 7)))).beyond == 7


def test_slices_follow_by_hand() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_service())
        one = by_hand("10.1.2.3")
        one.metadata = ObjectMeta(name="db", namespace="ns")
        await world.client.create(one)

        async def shows(*ips: str) -> bool:
            found = (await world.client.list(EndpointSlice, "ns", labels="kubernetes.io/service-name=db")).items
            return [e.addresses[0] for each in found for e in each.endpoints] == list(ips)

        await world.until(lambda: shows("10.1.2.3"))
        change = {"subsets": [{"addresses": [{"ip": "10.2.3.4"}], "ports": [{"port": 80}]}]}
        await world.client.patch(Endpoints, "db", change, namespace="ns")
        await world.until(lambda: shows("10.2.3.4"))
        await world.client.delete(Endpoints, "db", "ns")
        await world.until(lambda: shows())

    for seed in range(1, 4):
        play(story, seed=seed, faults=Faults(lost_reply=0.2))
