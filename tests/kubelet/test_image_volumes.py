"""Image volumes: shown below the pod's directory, mounted read only, released with the pod."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from kijabi.api.core.container import VolumeMount
from kijabi.api.core.volume import ImageVolumeSource, Volume
from kijabi.kubelet.problems import VolumeProblem
from kijabi.kubelet.runtime.interface import Image, RuntimeFailure
from kijabi.kubelet.volumes.files import LocalFiles
from kijabi.kubelet.volumes.manager import Volumes
from kijabi.kubelet.volumes.persistent import Persistent
from tests.kubelet.things import c, pod

VOLUME = Volume(name="v", image=ImageVolumeSource(reference="data:1"))
POD = pod(c(volumeMounts=(VolumeMount(name="v", mountPath="/data"),)), volumes=(VOLUME,))


class Views:
    """Keeps what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.problem: Exception | None = None

    async def show(self, image_id: str, path: str, owner: str) -> None:
        if self.problem is not None:
            raise self.problem
        self.calls.append(("show", image_id, path, owner))

    async def release(self, owner: str) -> None:
        self.calls.append(("release", owner))


def volumes(views: Views, root: Path) -> Volumes:
    kept = SimpleNamespace(drop=lambda uid: None)
    persistent = Persistent(LocalFiles(), None, None, dict, str(root))  # type: ignore[arg-type]
    return Volumes(LocalFiles(), None, kept, kept, views, persistent, str(root))  # type: ignore[arg-type]


async def test_from_show_to_release(tmp_path: Path) -> None:
    views = Views()
    made = volumes(views, tmp_path)
    await made.show_image(POD, VOLUME, Image(id="sha256:1", tags=("data:1",)))
    path = f"{tmp_path}/u1/volumes/kubernetes.io~image/v"
    assert views.calls == [("show", "sha256:1", path, "u1")]
    (mount,), _ = made.mounts(POD, POD.spec.containers[0], 0, {}, "")
    assert (mount.container_path, mount.host_path, mount.read_only) == ("/data", path, True)
    await made.teardown("u1")
    assert views.calls[1:] == [("release", "u1")]
    await made.teardown("u1")  # nothing is left to release
    assert len(views.calls) == 2


async def test_what_cannot_be_shown(tmp_path: Path) -> None:
    views = Views()
    views.problem = RuntimeFailure("ImageMountError", "no such image")
    with pytest.raises(VolumeProblem, match="no such image"):
        await volumes(views, tmp_path).show_image(POD, VOLUME, Image(id="sha256:1"))
