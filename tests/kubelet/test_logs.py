"""Reading logs: the format, tails, filters, following and rotation."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from kijabi.api.core.podstatus import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    PodStatus,
)
from kijabi.kubelet import logquery
from kijabi.kubelet.logreader import LogOptions, read
from kijabi.kubelet.logs import lines_of, parse
from kijabi.kubelet.messages import Messages
from kijabi.kubelet.rotation import rotated, shelve, surplus
from kijabi.kubelet.runtime.interface import ContainerInfo
from kijabi.kubelet.view import MESSAGE_FILE, MESSAGE_POLICY
from kijabi.kubelet.volumes.files import LocalFiles

LOG = b"".join(
    b"2026-01-01T00:00:%02d.500000000Z %s %s %s\n" % line
    for line in (
        (1, b"stdout", b"F", b"one"),
        (2, b"stderr", b"F", b"two"),
        (3, b"stdout", b"P", b"thr"),
        (4, b"stdout", b"F", b"ee"),
        (5, b"stdout", b"F", b""),
    )
)


async def text(path: Path, **options: object) -> str:
    chunks = [chunk async for chunk in read(str(path), LogOptions(**options), lambda: False)]  # type: ignore[arg-type]
    return b"".join(chunks).decode()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_bytes(LOG)
    return path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "one\ntwo\nthree\n\n"),
        ({"tail": 2}, "ee\n\n"),
        ({"tail": 0}, ""),
        ({"tail": 99}, "one\ntwo\nthree\n\n"),
        ({"limit": 5}, "one\nt"),
        ({"stream": "Stderr"}, "two\n"),
        ({"stream": "Stdout", "tail": 4}, "three\n\n"),
        ({"since": 1767225602.5}, "two\nthree\n\n"),
        ({"since": 1767225602.6}, "three\n\n"),
        ({"timestamps": True, "tail": 3}, "2026-01-01T00:00:03.500000000Z three\n2026-01-01T00:00:05.500000000Z \n"),
    ],
)
async def test_reading(log: Path, options: dict[str, object], expected: str) -> None:
    assert await text(log, **options) == expected


async def test_a_long_log_has_a_tail(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(b"2026-01-01T00:00:00.000000000Z stdout F line %06d\n" % i for i in range(20_000)))
    assert (await text(path, tail=3)).splitlines() == [f"line {i:06d}" for i in range(19_997, 20_000)]
    assert len((await text(path, tail=5_000)).splitlines()) == 5_000


def rotate(log: Path, fresh: bytes) -> None:
    log.rename(log.with_suffix(".log.20260101-000007"))
    log.write_bytes(fresh)


async def test_following(log: Path) -> None:
    alive = True
    got: list[bytes] = []

    async def follow() -> None:
        async for chunk in read(str(log), LogOptions(follow=True, tail=0), lambda: alive):
            got.append(chunk)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(follow())
        await asyncio.sleep(0.05)
        with log.open("ab") as out:
            out.write(b"2026-01-01T00:00:06.0000000Z stdout F six\n")
        await asyncio.sleep(0.1)
        assert b"".join(got) == b"six\n"
        # Rotation: the rest of the old file, then the new one.
        with log.open("ab") as out:
            out.write(b"2026-01-01T00:00:07.0000000Z stdout F seven\n")
        rotate(log, b"2026-01-01T00:00:08.0000000Z stdout F eight\n")
        await asyncio.sleep(0.1)
        assert b"".join(got) == b"six\nseven\neight\n"
        alive = False
        with log.open("ab") as out:
            out.write(b"2026-01-01T00:00:09.0000000Z stdout F nine\n")
        await task
    assert b"".join(got) == b"six\nseven\neight\nnine\n"


def test_what_is_no_entry() -> None:
    assert parse(b"garbage") is None
    assert parse(b"") is None
    assert parse(b"2026-01-01T00:00:01.5Z stdout F") is not None
    assert lines_of(LOG[5:], partial_first=True)[0] == b"two\n"


def status(state: ContainerState, last: ContainerState | None = None, own: str = "r://now") -> PodStatus:
    return PodStatus(
        containerStatuses=(ContainerStatus(name="c", containerID=own, state=state, lastState=last or ContainerState()),)
    )


ENDED = ContainerState(terminated=ContainerStateTerminated(containerID="r://before"))


def test_which_container() -> None:
    running = ContainerState(running=ContainerStateRunning())
    assert logquery.container_id("p", status(running), "c", False) == "now"
    assert logquery.container_id("p", status(running, ENDED), "c", True) == "before"
    waiting = ContainerState(waiting=ContainerStateWaiting(reason="CrashLoopBackOff"))
    assert logquery.container_id("p", status(waiting, ENDED), "c", False) == "before"


@pytest.mark.parametrize(
    ("given", "previous", "expected"),
    [
        (
            status(ContainerState(running=ContainerStateRunning())),
            True,
            'previous terminated container "c" in pod "p" not found',
        ),
        (
            status(ContainerState(waiting=ContainerStateWaiting(reason="ContainerCreating"))),
            False,
            'container "c" in pod "p" is waiting to start: ContainerCreating',
        ),
        (
            status(ContainerState(waiting=ContainerStateWaiting(reason="ImagePullBackOff"))),
            False,
            'container "c" in pod "p" is waiting to start: trying and failing to pull image',
        ),
        (PodStatus(), False, 'container "c" in pod "p" is not available'),
    ],
)
def test_which_container_not(given: PodStatus, previous: bool, expected: str) -> None:
    with pytest.raises(LookupError) as caught:
        logquery.container_id("p", given, "c", previous)
    assert caught.value.args[0] == expected


def test_options() -> None:
    found = logquery.options({"follow": "true", "tailLines": "5", "sinceSeconds": "10", "limitBytes": "7"}, 100.0)
    assert found == LogOptions(follow=True, tail=5, since=90.0, limit=7)
    with pytest.raises(ValueError, match="invalid literal"):
        logquery.options({"tailLines": "x"}, 0)


def test_termination_messages(tmp_path: Path, log: Path) -> None:
    messages = Messages(LocalFiles())
    path = tmp_path / "message"
    path.write_text("bye " * 2000)
    info = ContainerInfo(
        id="x", sandbox_id="s", name="c", state="exited", exit_code=1, annotations={MESSAGE_FILE: str(path)}
    )
    assert len(messages.enrich(info).message) == 4096
    path.write_text("")
    assert messages.enrich(info).message == ""
    notes = {MESSAGE_FILE: str(path), MESSAGE_POLICY: "FallbackToLogsOnError"}
    info = ContainerInfo(
        id="x", sandbox_id="s", name="c", state="exited", exit_code=1, annotations=notes, log_path=str(log)
    )
    assert messages.enrich(info).message == "one\ntwo\nthree\n\n"


def test_rotation(tmp_path: Path) -> None:
    assert surplus(["a", "b", "c", "d"], 5) == ["a"]
    assert surplus(["a", "b"], 5) == []
    log = tmp_path / "0.log"
    for stamp in ("20260101-000001.gz", "20260101-000002.gz", "20260101-000003.gz", "20260101-000004"):
        (tmp_path / f"0.log.{stamp}").write_bytes(b"x")
    shelve(str(log), 5)
    names = [Path(path).name for path in rotated(str(log))]
    assert names == ["0.log.20260101-000002.gz", "0.log.20260101-000003.gz", "0.log.20260101-000004.gz"]
    assert gzip.decompress((tmp_path / names[-1]).read_bytes()) == b"x"
