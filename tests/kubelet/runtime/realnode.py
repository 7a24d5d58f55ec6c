"""A real node for tests: its own containerd, bridge and control groups, everything removed at the end."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path

from kijabi.kubelet.runtime import cni, containerd
from kijabi.kubelet.runtime.cgroups import Cgroups
from kijabi.kubelet.runtime.cri import CriRuntime
from kijabi.testing.images import build


class RealNode:
    """containerd with its surroundings in a directory; start and stop it outside of any event loop."""

    def __init__(self, directory: Path, pod_cidr: str = "10.231.7.0/24", netns: str = "") -> None:
        tag = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
        self.directory = directory
        self.config = containerd.Config(
            root=directory / "root",
            state=Path("/run/kijabi") / f"test-{tag}",
            shared=directory / "pods",
            cni_conf=directory / "cni",
            certs=directory / "certs.d",
            log=directory / "containerd.log",
            cgroups=f"/kijabi-test-{tag}/node",
            netns=netns,
        )
        self.network = cni.network(f"test-{tag}", "node", pod_cidr, directory / "addresses", netns=netns)
        self.cgroups = Cgroups(self.config.cgroups)
        self.containerd = containerd.Containerd(self.config)

    def start(self) -> None:
        asyncio.run(self._start())

    async def _start(self) -> None:
        await cni.prepare(self.network, self.config.cni_conf)
        await self.containerd.start()

    def add_image(self, name: str) -> str:
        """Import an image of ours; its reference."""
        built = build.ensure(name)
        asyncio.run(self.containerd.ctr("images", "import", str(built.archive)))
        return built.reference

    async def runtime(self) -> CriRuntime:
        """A client on the running loop."""
        runtime = CriRuntime(self.config.socket, self.config.state)
        await runtime.wait_ready()
        return runtime

    def remove(self) -> None:
        asyncio.run(self._remove())
        shutil.rmtree(self.directory, ignore_errors=True)

    async def _remove(self) -> None:
        await self.containerd.destroy()
        await cni.remove(self.network)

    def traces(self) -> list[str]:
        """What is left of it on the machine; nothing, after `remove`."""
        tag = self.config.state.name
        found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if tag in line]
        found += [str(path) for path in (self.config.state, self.config.root) if path.exists()]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/kijabi-{tag}")]
        found += [str(path) for path in cni.RESULTS.glob(f"{self.network.name}-*")]
        found += [str(path) for path in Path("/sys/class/net").glob(self.network.bridge)]
        found += [f"shim {pid}" for pid in self.containerd.shims()]
        return found
