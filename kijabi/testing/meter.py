"""What the kubelets of a simulation say of the use of their containers, for `metrics.k8s.io` and who scales by it.

The API server asks a kubelet by a `Dial`; `Meter.dial` answers in its place, in the format of KEP-727, unless it cannot
be reached. What all pods of an app use together is said by `load`; they share it, as requests through a Service are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from kijabi.api.core.pod import Pod
from kijabi.apiserver.subresources.backend import Address, ByteReader, ByteWriter
from kijabi.base import clock
from kijabi.testing.history import Ledger
from kijabi.testing.safety.facts import Running

App = tuple[str, str]
"""A namespace, and the label of an app there."""


class Meter:
    """See the module. running: whether a pod's containers run; reachable: whether the kubelet of a node answers.

    load: thousandths of a core that the pods of an app use together.
    """

    def __init__(self, ledger: Ledger, running: Running, reachable: Callable[[str], bool]) -> None:
        self.load: Mapping[App, int] = {}
        self._ledger = ledger
        self._running = running
        self._reachable = reachable
        self._used: dict[str, tuple[float, float]] = {}  # by the pod's uid: when, and core seconds until then

    async def dial(self, address: Address) -> tuple[ByteReader, ByteWriter]:
        """See Dial."""
        if not self._reachable(address.name):
            raise OSError(f"no route to {address}")
        text = self.text(address.name).encode()
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
        reader.feed_eof()
        return reader, _Deaf()

    def text(self, node: str) -> str:
        """What the kubelet of a node says."""
        running = [pod for pod in self._ledger.of(Pod) if self._running(pod.spec.nodeName, pod.metadata.uid)]
        sharing = Counter(map(_app, running))
        lines = ["node_cpu_usage_seconds_total 1", "node_memory_working_set_bytes 1000000"]
        for pod in running:
            if pod.spec.nodeName == node:
                used = self._use(pod, self.load.get(_app(pod), 0) / sharing[_app(pod)] / 1000)
                for container in pod.spec.containers:
                    where = (
                        f'namespace="{pod.metadata.namespace}",pod="{pod.metadata.name}",container="{container.name}"'
                    )
                    lines.append(f"container_cpu_usage_seconds_total{{{where}}} {used / len(pod.spec.containers)}")
                    lines.append(f"container_memory_working_set_bytes{{{where}}} 1000000")
        return "\n".join(lines) + "\n"

    def _use(self, pod: Pod, cores: float) -> float:
        now = clock.monotonic()
        then, used = self._used.get(pod.metadata.uid, (now, 0.0))
        self._used[pod.metadata.uid] = now, used + cores * (now - then)
        return self._used[pod.metadata.uid][1]


class _Deaf:
    """The way to a kubelet that has said all already."""

    def write(self, data: bytes) -> None:
        """Say something."""

    async def drain(self) -> None:
        """Wait until it was heard."""

    def close(self) -> None:
        """Hang up."""


def _app(pod: Pod) -> App:
    return pod.metadata.namespace, pod.metadata.labels.get("app", "")
