"""Leader election: one leads, another follows soon, nobody leads who cannot renew."""

from __future__ import annotations

import asyncio

import pytest

from kijabi.api.coordination.lease import Lease
from kijabi.base.errors import NotFound
from kijabi.client.client import Client
from kijabi.client.lease import Elector, LeadershipLost
from kijabi.testing import simloop
from kijabi.testing.faults import NONE, Faults, FaultyTransport

from .fakeserver import FakeServer


def test_one_leads_and_gives_up_at_the_end() -> None:
    async def main() -> None:
        client = Client(FakeServer())
        elector = Elector(client, "scheduler", "a")

        async def work() -> None:
            assert elector.leading
            await asyncio.sleep(100)
            lease = await client.get(Lease, "scheduler", "kube-system")
            assert lease.spec.holderIdentity == "a"
            assert lease.spec.leaseDurationSeconds == 15
            assert lease.spec.renewTime is not None
            assert lease.spec.renewTime.timestamp() > simloop.EPOCH + 97

        await elector.lead(work)
        assert not elector.leading
        lease = await client.get(Lease, "scheduler", "kube-system")
        assert lease.spec.holderIdentity in (None, "")

    simloop.run(main())


@pytest.mark.parametrize("seed", range(5))
def test_never_two_leaders_and_a_successor_soon(seed: int) -> None:
    async def main() -> None:
        loop: simloop.SimLoop = asyncio.get_running_loop()  # type: ignore[assignment]
        server = FakeServer()
        leaders: list[str] = []
        terms = 0
        faults = Faults(latency=(0.001, 0.3), lost_request=0.05, lost_reply=0.05)
        networks = {name: FaultyTransport(server, faults) for name in "abc"}

        async def candidate(name: str) -> None:
            nonlocal terms
            while True:
                elector = Elector(Client(networks[name], timeout=5), "kcm", name)

                async def work() -> None:
                    nonlocal terms
                    terms += 1
                    leaders.append(name)
                    assert len(leaders) == 1
                    try:
                        await asyncio.Event().wait()
                    finally:
                        leaders.remove(name)

                try:
                    await elector.lead(work)
                except LeadershipLost:
                    await asyncio.sleep(loop.rng.random())

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(candidate(name)) for name in "abc"]
            for _ in range(20):
                await asyncio.sleep(60)
                for network in networks.values():
                    network.reconnect()
                async with asyncio.timeout(60):
                    while not leaders:  # noqa: ASYNC110
                        await asyncio.sleep(1)
                networks[leaders[0]].partition()
            for network in networks.values():
                network.heal()
                assert network.faults is NONE
            await asyncio.sleep(60)
            assert len(leaders) == 1
            for task in tasks:
                task.cancel()
        assert terms >= 20

    simloop.run(main(), seed)


def test_a_leader_that_cannot_renew_stops_in_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        network = FaultyTransport(FakeServer(), NONE)
        stopped = 0.0

        async def work() -> None:
            nonlocal stopped
            network.partition()
            try:
                await asyncio.Event().wait()
            finally:
                stopped = loop.time()

        with pytest.raises(LeadershipLost, match="could not renew the lease x"):
            await Elector(Client(network), "x", "a").lead(work)
        assert 9 < stopped < 15

    simloop.run(main())


def test_a_failure_of_the_work_is_raised_and_the_lease_given_up() -> None:
    async def main() -> None:
        client = Client(FakeServer())

        async def work() -> None:
            raise NotFound("gone")

        with pytest.raises(ExceptionGroup) as caught:
            await Elector(client, "x", "a").lead(work)
        assert caught.group_contains(NotFound)
        start = asyncio.get_running_loop().time()

        async def nothing() -> None:
            return

        await Elector(client, "x", "b").lead(nothing)
        assert asyncio.get_running_loop().time() - start < 1
        lease = await client.get(Lease, "x", "kube-system")
        assert lease.spec.leaseTransitions == 1

    simloop.run(main())


def test_timing_must_make_sense() -> None:
    with pytest.raises(ValueError, match="duration must exceed"):
        Elector(Client(FakeServer()), "x", "a", duration=5, deadline=10)
