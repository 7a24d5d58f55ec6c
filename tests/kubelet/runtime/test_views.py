"""The files of an image, shown on the machine: read only, once, and gone when nobody needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kijabi.kubelet.runtime import linux
from kijabi.kubelet.runtime.cri import CriRuntime
from kijabi.kubelet.runtime.interface import RuntimeFailure
from kijabi.kubelet.runtime.views import LEASES, NAMESPACE, LeasesRequest, LeasesResponse
from tests.kubelet.runtime.realnode import RealNode

pytestmark = pytest.mark.node


@pytest.fixture
async def runtime(busybox_node: tuple[RealNode, str]) -> AsyncIterator[CriRuntime]:
    runtime = await busybox_node[0].runtime()
    yield runtime
    await runtime.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "view"
    path.mkdir()
    return path


async def leases(runtime: CriRuntime) -> set[str]:
    found = await runtime._channel.call(f"{LEASES}/List", LeasesRequest(), LeasesResponse, metadata=(NAMESPACE,))
    return {lease.id for lease in found.leases if lease.id.startswith("kijabi-")}


async def test_shown_until_released(runtime: CriRuntime, busybox_node: tuple[RealNode, str], place: Path) -> None:
    image = await runtime.image_status(busybox_node[1])
    assert image is not None
    try:
        for _ in range(2):  # again changes nothing
            await runtime.views.show(image.id, str(place), "uid")
        assert (place / "bin").exists()
        with pytest.raises(OSError, match="Read-only"):
            (place / "new").write_text("x")
        assert sum(point.path == str(place) for point in linux.mounts()) == 1
        assert len(await leases(runtime)) == 1
        await runtime.views.release("another")
        assert len(await leases(runtime)) == 1
        await runtime.views.release("uid")
        assert not await leases(runtime)
    finally:
        linux.unmount_below(place)


async def test_what_is_not_there_is_not_shown(runtime: CriRuntime, place: Path) -> None:
    with pytest.raises(RuntimeFailure, match="is not there"):
        await runtime.views.show("sha256:" + "0" * 64, str(place), "uid")
    assert not await leases(runtime)
