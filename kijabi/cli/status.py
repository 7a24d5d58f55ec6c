"""`kijabi status`: components, nodes, versions, what is unhealthy and why.

Pure text from what `cmd.main` gathered: the supervisor's component list and the API server's nodes and pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod


class ComponentStatus(Protocol):
    """What the supervisor says of one process (cmd/supervisor.py Status)."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def problem(self) -> str: ...
    @property
    def last_exit(self) -> str: ...


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What `render` shows. error: why the API server could not be asked, or ""."""

    directory: str
    server: str
    version: str
    components: Sequence[ComponentStatus]
    nodes: Sequence[Node] = ()
    pods: Sequence[Pod] = ()
    error: str = ""


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [tuple(map(str, row)) for row in rows]
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines]


def _node_problem(node: Node) -> str:
    wrong = [
        f"{condition.type}: {condition.reason}: {condition.message}"
        for condition in node.status.conditions
        if (condition.type == "Ready") != (condition.status == "True")
    ]
    return "; ".join(wrong)


def _pod_problem(pod: Pod) -> str:
    for status in (*pod.status.initContainerStatuses, *pod.status.containerStatuses):
        waiting = status.state.waiting if status.state else None
        if waiting is not None and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
            return f"container {status.name}: {waiting.reason}: {waiting.message}".rstrip(": ")
    if pod.status.phase == "Pending":
        for condition in pod.status.conditions:
            if condition.type == "PodScheduled" and condition.status == "False":
                return f"{condition.reason}: {condition.message}"
    if pod.status.phase == "Failed":
        return f"Failed: {pod.status.reason or pod.status.message or _failed_container(pod)}".rstrip(": ")
    return ""


def _failed_container(pod: Pod) -> str:
    for status in (*pod.status.initContainerStatuses, *pod.status.containerStatuses):
        ended = status.state.terminated if status.state else None
        if ended is not None and ended.exitCode:
            return f"container {status.name}: {ended.reason} (exit code {ended.exitCode})"
    return ""


def _state(component: ComponentStatus) -> str:
    """Its state, with the reason where it is waiting to be started again."""
    return f"{component.state}: {component.last_exit}" if component.state == "backoff" else component.state


def problems(cluster: Cluster) -> list[str]:
    """One line per thing that is not as it should be; empty when all is well."""
    unwell = [c for c in cluster.components if c.problem or c.state != "ready"]
    lines = [f"component {c.name}: {c.problem or _state(c)}" for c in unwell]
    if cluster.error:
        lines.append(f"API server: {cluster.error}")
    lines += [f"node {node.metadata.name}: {why}" for node in cluster.nodes if (why := _node_problem(node))]
    lines += [
        f"pod {pod.metadata.namespace}/{pod.metadata.name}: {why}" for pod in cluster.pods if (why := _pod_problem(pod))
    ]
    return lines


def render(cluster: Cluster) -> str:
    """The whole text of `kijabi status`."""
    out = [f"Cluster in {cluster.directory}, API server {cluster.server}, {cluster.version}", ""]
    rows = [("COMPONENT", "STATE", "PID", "RESTARTS", "LAST EXIT")]
    rows += [(c.name, c.state, str(c.pid or "-"), str(c.restarts), c.last_exit or "-") for c in cluster.components]
    out += _table(rows)
    if cluster.nodes:
        header = ("NODE", "READY", "VERSION", "ADDRESS", "RUNTIME", "PODS")
        running: dict[str, int] = {}
        for pod in cluster.pods:
            running[pod.spec.nodeName] = running.get(pod.spec.nodeName, 0) + 1
        body = [
            (
                node.metadata.name,
                next((c.status for c in node.status.conditions if c.type == "Ready"), "Unknown"),
                node.status.nodeInfo.kubeletVersion,
                next((a.address for a in node.status.addresses if a.type == "InternalIP"), "-"),
                node.status.nodeInfo.containerRuntimeVersion,
                str(running.get(node.metadata.name, 0)),
            )
            for node in cluster.nodes
        ]
        out += ["", *_table([header, *body])]
    wrong = problems(cluster)
    out += ["", "All is well." if not wrong else "Unhealthy:", *(f"  {line}" for line in wrong)]
    return "\n".join(out)
