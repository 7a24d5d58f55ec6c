"""Pods, views and containers in one line each."""

from __future__ import annotations

from typing import Any

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.podstatus import PodStatus
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.meta import ObjectMeta, Time
from kijabi.api.quantity import Quantity
from kijabi.kubelet.runtime.interface import ContainerInfo, Sandbox
from kijabi.kubelet.view import CONTAINER_HASH, PodView, container_hash, newest_first

NOW = 1_770_000_000.0


def c(name: str = "c", **more: Any) -> Container:
    return Container(name=name, image="app:1", **more)


def pod(
    *containers: Container, status: PodStatus | None = None, meta: dict[str, Any] | None = None, **spec: Any
) -> Pod:
    spec.setdefault("restartPolicy", "Always")
    return Pod(
        metadata=ObjectMeta(name="web", namespace="ns", uid="u1", generation=1, **(meta or {})),
        spec=PodSpec(containers=containers or (c(),), nodeName="n1", **spec),
        status=status or PodStatus(),
    )


DELETED = {"deletionTimestamp": Time("2026-01-01T00:00:00Z")}


def box(attempt: int = 0, *, ready: bool = True, ips: tuple[str, ...] = ("10.0.0.1",), **more: Any) -> Sandbox:
    return Sandbox(
        id=f"s{attempt}", name="web", namespace="ns", uid="u1", attempt=attempt, ready=ready, ips=ips,
        created_at=NOW - 1000 + attempt, **more,
    )  # fmt: skip


def info(
    name: str = "c", state: Any = "running", *, code: int = 0, attempt: int = 0, ago: float = 0.0, sandbox: int = 0,
    image: str = "app:1", **more: Any,
) -> ContainerInfo:  # fmt: skip
    """A container that began 100 s before it ended, and ended (if it did) `ago` seconds before NOW."""
    return ContainerInfo(
        id=f"{name}{attempt}", sandbox_id=f"s{sandbox}", name=name, attempt=attempt, state=state, image=image,
        created_at=NOW - ago - 100, started_at=NOW - ago - 100,
        finished_at=NOW - ago if state == "exited" else 0.0, exit_code=code,
        annotations={CONTAINER_HASH: container_hash(Container(name=name, image=image))}, **more,
    )  # fmt: skip


def view(*parts: Sandbox | ContainerInfo) -> PodView:
    boxes = [part for part in parts if isinstance(part, Sandbox)]
    return newest_first("u1", boxes, [part for part in parts if isinstance(part, ContainerInfo)])


def amounts(**given: str) -> dict[str, Quantity]:
    return {name: Quantity(text) for name, text in given.items()}


def needs(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> ResourceRequirements:
    return ResourceRequirements(requests=amounts(**requests or {}), limits=amounts(**limits or {}))
