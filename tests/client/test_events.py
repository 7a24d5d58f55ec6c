"""The recorder: counts, combines, drops, and never holds up who records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kijabi.api.core.event import Event
from kijabi.api.core.pod import Pod
from kijabi.api.meta import ObjectMeta
from kijabi.client import events
from kijabi.client.client import Client
from kijabi.client.events import Correlator, Happening, Recorder, reference
from kijabi.testing import simloop
from kijabi.testing.faults import NONE, Faults, FaultyTransport

from .fakeserver import FakeServer

POD = Pod(metadata=ObjectMeta(name="web", namespace="shop", uid="u1", resourceVersion="7"))


@asynccontextmanager
async def running(recorder: Recorder) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        yield
        task.cancel()


def test_an_event_as_kubectl_shows_it() -> None:
    async def main() -> None:
        client = Client(FakeServer())
        recorder = Recorder(client, "kubelet", "node-1")
        recorder.event(POD, "Warning", "BackOff", "Back-off", field_path="spec.containers{web}")
        async with running(recorder):
            await asyncio.sleep(1)
        (event,) = (await client.list(Event)).items
        assert event.metadata.namespace == "shop"
        assert event.metadata.name.startswith("web.")
        about = event.involvedObject
        assert (about.kind, about.apiVersion, about.name, about.uid) == ("Pod", "v1", "web", "u1")
        assert about.fieldPath == "spec.containers{web}"
        assert (event.type, event.reason, event.message, event.count) == ("Warning", "BackOff", "Back-off", 1)
        assert (event.source.component, event.source.host) == ("kubelet", "node-1")
        assert event.reportingComponent == "kubelet"
        assert event.firstTimestamp == event.lastTimestamp != ""

    simloop.run(main())


def test_what_repeats_is_counted() -> None:
    async def main() -> None:
        client = Client(FakeServer())
        recorder = Recorder(client, "kubelet")
        async with running(recorder):
            for _ in range(4):
                recorder.event(POD, "Normal", "Pulled", "image pulled")
                await asyncio.sleep(10)
            (event,) = (await client.list(Event)).items
            assert event.count == 4
            assert event.lastTimestamp.timestamp() - event.firstTimestamp.timestamp() == 30
            await client.delete(Event, event.metadata.name, "shop")
            recorder.event(POD, "Normal", "Pulled", "image pulled")
            await asyncio.sleep(1)
            (again,) = (await client.list(Event)).items
            assert (again.metadata.name, again.count) == (event.metadata.name, 5)
            assert again.firstTimestamp == event.firstTimestamp

    simloop.run(main())


def test_what_is_similar_is_combined() -> None:
    async def main() -> None:
        client = Client(FakeServer())
        recorder = Recorder(client, "kubelet")
        async with running(recorder):
            for number in range(14):
                recorder.event(POD, "Warning", "Failed", f"attempt {number}")
            await asyncio.sleep(1)
        items = (await client.list(Event)).items
        combined = [event for event in items if event.message.startswith(events.COMBINED)]
        assert len(items) == 10
        assert [(event.count, event.message) for event in combined] == [(5, events.COMBINED + "attempt 13")]

    simloop.run(main())


def test_a_flood_about_one_object_is_dropped() -> None:
    correlator = Correlator()
    flood = Happening(reference(POD), "Normal", "Same", "same")
    other = Happening(reference(Pod(metadata=ObjectMeta(name="other"))), "Normal", "Same", "same")
    admitted = [correlator.admit(flood, 0.0) is not None for _ in range(100)]
    assert admitted == [True] * 25 + [False] * 75
    assert correlator.admit(other, 0.0) is not None
    assert correlator.admit(flood, 299.0) is None
    through = correlator.admit(flood, 301.0)
    assert through is not None
    assert through.times == 102  # what was dropped counts
    assert correlator.admit(flood, 302.0) is None
    warning = flood._replace(type="Warning")
    assert correlator.admit(warning, 302.0) is not None  # each type has tokens of its own


def test_a_part_of_an_object_is_told_apart_where_messages_are_not_combined() -> None:
    correlator = Correlator()
    one, two = (Happening(reference(POD, path), "Normal", "Same", "same") for path in ("a", "b"))
    counts = [noted.times for noted in (correlator.admit(each, 0.0) for each in (one, two, one)) if noted is not None]
    assert counts == [1, 1, 2]


def test_what_was_similar_long_ago_is_forgotten() -> None:
    correlator = Correlator()

    def message(text: str, now: float) -> str:
        noted = correlator.admit(Happening(reference(POD), "Normal", "x", text), now)
        assert noted is not None
        return noted.message

    assert [message(str(number), 0.0) for number in range(10)][-2:] == ["8", events.COMBINED + "9"]
    assert message("5", 1.0) == "5"  # one of those that are known
    assert message("10", 2.0) == events.COMBINED + "10"
    assert message("11", 2.0 + events.SIMILAR_SECONDS) == events.COMBINED + "11"
    assert message("12", 3.0 + 2 * events.SIMILAR_SECONDS) == "12"


def test_memory_is_bounded() -> None:
    correlator = Correlator()
    for number in range(events.MAX_REMEMBERED + 100):
        pod = Pod(metadata=ObjectMeta(name=f"p{number}"))
        correlator.admit(Happening(reference(pod), "Normal", "x", "y"), float(number))
    assert len(correlator._budgets) == len(correlator._similar) == events.MAX_REMEMBERED


def test_recording_never_waits() -> None:
    async def main() -> None:
        network = FaultyTransport(FakeServer(), NONE)
        network.partition()
        recorder = Recorder(Client(network), "kubelet")
        async with running(recorder):
            start = asyncio.get_running_loop().time()
            for number in range(events.MAX_QUEUE + 50):
                recorder.event(Pod(metadata=ObjectMeta(name=f"p{number}")), "Normal", "x", "y")
            assert asyncio.get_running_loop().time() == start
            assert recorder.dropped == 50

    simloop.run(main())


def test_it_gets_through_a_bad_network_once() -> None:
    async def main() -> None:
        server = FakeServer()
        client = Client(FaultyTransport(server, Faults(lost_request=0.3, lost_reply=0.3)))
        recorder = Recorder(client, "kubelet")
        async with running(recorder):
            for number in range(20):
                recorder.event(Pod(metadata=ObjectMeta(name=f"p{number}")), "Normal", "x", "y")
            await asyncio.sleep(600)
        items = (await Client(server).list(Event)).items
        assert sorted({event.involvedObject.name for event in items}) == sorted(f"p{n}" for n in range(20))
        assert len(items) == 20

    simloop.run(main())
