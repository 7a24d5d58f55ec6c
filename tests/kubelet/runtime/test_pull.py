"""Pulling from a registry: what works, and what users are told when it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kijabi.base import rand
from kijabi.kubelet.runtime import oci, pause
from kijabi.kubelet.runtime.cri import CriRuntime
from kijabi.kubelet.runtime.interface import ImageAuth, RuntimeFailure
from tests.kubelet.runtime.realnode import RealNode
from tests.kubelet.runtime.registry import serving

pytestmark = pytest.mark.node


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An image that no other test uses, since removing an image by its id removes all its names."""
    layer = oci.layer_of({"file": oci.File(0o644, rand.uuid().encode() * 1000)})
    path = tmp_path / "image.tar"
    path.write_bytes(oci.image("localhost/app:1", layer, oci.ImageConfig(cmd=("none",), user="1000:1000")))
    return path


@pytest.fixture
async def runtime(busybox_node: tuple[RealNode, str]) -> AsyncIterator[CriRuntime]:
    runtime = await busybox_node[0].runtime()
    yield runtime
    await runtime.close()


async def test_an_image_is_pulled_and_removed(runtime: CriRuntime, archive: Path) -> None:
    async with serving(archive) as registry:
        name = f"localhost:{registry.port}/app:1"
        image_id = await runtime.pull_image(name)
        image = await runtime.image_status(name)
        assert image is not None
        assert image.id == image_id
        assert name in image.tags
        assert image.digests[0].startswith(f"localhost:{registry.port}/app@sha256:")
        assert image.uid == 1000
        assert not image.pinned
        await runtime.remove_image(image_id)
        assert await runtime.image_status(name) is None


async def test_the_sandboxes_image_is_pinned(runtime: CriRuntime) -> None:
    image = await runtime.image_status(pause.NAME)
    assert image is not None
    assert image.pinned
    assert image in await runtime.list_images()


async def test_what_is_not_there_is_not_found(runtime: CriRuntime, archive: Path) -> None:
    async with serving(archive) as registry:
        with pytest.raises(RuntimeFailure, match="not found") as refused:
            await runtime.pull_image(f"localhost:{registry.port}/app:2")
    assert refused.value.reason == "ErrImagePull"
    assert refused.value.message.startswith("rpc error: code = NotFound desc = failed to pull and unpack image")


async def test_credentials_are_used(runtime: CriRuntime, archive: Path) -> None:
    async with serving(archive, password="secret") as registry:
        name = f"localhost:{registry.port}/app:1"
        for auth in (None, ImageAuth(username="user", password="wrong")):
            with pytest.raises(RuntimeFailure, match=r"authoriz|credentials|401") as refused:
                await runtime.pull_image(name, auth)
            assert refused.value.reason == "ErrImagePull"
        image_id = await runtime.pull_image(name, ImageAuth(username="user", password="secret"))
        await runtime.remove_image(image_id)
