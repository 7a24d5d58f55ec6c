"""What pods and the node use: /stats/summary for people and autoscalers, /metrics for Prometheus.

Called by `server.py`; reads the runtime and the machine. CPU rates come from the difference to the sample before.
"""

from __future__ import annotations

from typing import Any

from kijabi.api.meta import Time
from kijabi.base import clock
from kijabi.kubelet.loop import Kubelet
from kijabi.kubelet.runtime.interface import ContainerUsage
from kijabi.kubelet.times import time_at

# A sample younger than this is not replaced, so that two readers do not spoil each other's rates.
LEAST_INTERVAL = 5.0
NODE = ""  # the node among the ids of containers


# What /metrics/resource tells, with the kind of each figure.
_FIGURES = (
    ("container_cpu_usage_seconds_total", "counter"),
    ("container_memory_working_set_bytes", "gauge"),
    ("container_start_time_seconds", "gauge"),
    ("node_cpu_usage_seconds_total", "counter"),
    ("node_memory_working_set_bytes", "gauge"),
    ("pod_cpu_usage_seconds_total", "counter"),
    ("pod_memory_working_set_bytes", "gauge"),
    ("resource_scrape_error", "gauge"),
)


class Stats:
    """Usage of one node."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        self._before: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, int] = {}

    async def summary(self) -> dict[str, Any]:
        """The stats summary (k8s.io/kubelet `pkg/apis/stats/v1alpha1`). Raises RuntimeFailure, ConnectionLost."""
        now = clock.wall()
        used = await self._sample(now)
        pods = [self._pod(uid, used, now) for uid in self._kubelet.workers]
        usage = self._kubelet.machine.usage()
        self._measure(NODE, usage.cpu, now)
        stamp = str(time_at(now))
        fs = await self._kubelet.runtime.image_fs()
        disk = {
            "time": stamp,
            "availableBytes": usage.disk_free,
            "capacityBytes": usage.disk,
            "usedBytes": usage.disk - usage.disk_free,
            "inodesFree": usage.inodes_free,
            "inodes": usage.inodes,
            "inodesUsed": usage.inodes - usage.inodes_free,
        }
        node = {
            "nodeName": self._kubelet.config.node,
            "cpu": {
                "time": stamp,
                "usageNanoCores": self._rates.get(NODE, 0),
                "usageCoreNanoSeconds": usage.cpu,
            },
            "memory": {
                "time": stamp,
                "availableBytes": usage.memory_free,
                "usageBytes": usage.memory - usage.memory_free,
                "workingSetBytes": usage.memory - usage.memory_free,
            },
            "fs": disk,
            "runtime": {"imageFs": {**disk, "usedBytes": fs.used_bytes, "inodesUsed": fs.inodes_used}},
        }
        return {"node": node, "pods": [pod for pod in pods if pod["containers"]]}

    async def resource_metrics(self) -> str:
        """/metrics/resource: what metrics servers read (KEP-727). Raises RuntimeFailure, ConnectionLost."""
        now = clock.wall()
        summary = await self.summary()
        stamp = round(now * 1000)
        rows: dict[str, list[str]] = {name: [] for name, _ in _FIGURES}
        for pod in summary["pods"]:
            ref = pod["podRef"]
            place = f'namespace="{ref["namespace"]}",pod="{ref["name"]}"'
            for each in pod["containers"]:
                labels = f'{{container="{each["name"]}",{place}}}'
                rows["container_cpu_usage_seconds_total"].append(f"{labels} {_seconds(each)} {stamp}")
                rows["container_memory_working_set_bytes"].append(f"{labels} {_working_set(each)} {stamp}")
                started = Time(each["startTime"]).timestamp()
                rows["container_start_time_seconds"].append(f"{labels} {started:.3f}")
            rows["pod_cpu_usage_seconds_total"].append(f"{{{place}}} {_seconds(pod)} {stamp}")
            rows["pod_memory_working_set_bytes"].append(f"{{{place}}} {_working_set(pod)} {stamp}")
        node = summary["node"]
        rows["node_cpu_usage_seconds_total"].append(f" {_seconds(node)} {stamp}")
        rows["node_memory_working_set_bytes"].append(f" {_working_set(node)} {stamp}")
        rows["resource_scrape_error"].append(" 0")
        lines = []
        for name, kind in _FIGURES:
            lines.append(f"# TYPE {name} {kind}")
            lines += [name + row for row in rows[name]]
        return "\n".join(lines) + "\n"

    def metrics(self) -> str:
        """/metrics: counts of what this kubelet has."""
        kubelet = self._kubelet
        views = [kubelet.parts.cache.view(uid) for uid in kubelet.parts.cache.uids()]
        running = sum(len(view.running) for view in views)
        boxes = sum(any(box.ready for box in view.sandboxes) for view in views)
        return "\n".join(
            (
                "# TYPE kubelet_node_name gauge",
                f'kubelet_node_name{{node="{kubelet.config.node}"}} 1',
                "# TYPE kubelet_desired_pods gauge",
                f"kubelet_desired_pods {len(kubelet.workers)}",
                "# TYPE kubelet_running_pods gauge",
                f"kubelet_running_pods {boxes}",
                "# TYPE kubelet_running_containers gauge",
                f'kubelet_running_containers{{container_state="running"}} {running}',
                "# TYPE kubelet_active_probes gauge",
                f"kubelet_active_probes {kubelet.parts.probes.count}",
                "# TYPE kubelet_events_dropped_total counter",
                f"kubelet_events_dropped_total {kubelet.recorder.dropped}",
                "",
            )
        )

    async def _sample(self, now: float) -> dict[str, ContainerUsage]:
        used = {each.id: each for each in await self._kubelet.runtime.usage()}
        for key in self._before.keys() - used.keys() - {NODE}:
            del self._before[key]
            self._rates.pop(key, None)
        for key, each in used.items():
            self._measure(key, each.cpu_nanoseconds, now)
        return used

    def _measure(self, key: str, nanoseconds: int, now: float) -> None:
        """Take a sample of what a container, or the node, has worked; the rate is that since the last one."""
        before = self._before.get(key)
        if before is not None and now - before[0] < LEAST_INTERVAL:
            return
        if before is not None:
            self._rates[key] = max(0, int((nanoseconds - before[1]) / (now - before[0])))
        self._before[key] = (now, nanoseconds)

    def _pod(self, uid: str, used: dict[str, ContainerUsage], now: float) -> dict[str, Any]:
        worker = self._kubelet.workers[uid]
        meta, stamp = worker.pod.metadata, str(time_at(now))
        containers = []
        for info in self._kubelet.parts.cache.view(uid).running:
            each = used.get(info.id)
            if each is not None:
                containers.append(self._container(info.name, str(time_at(info.started_at)), each, stamp))
        started = worker.pod.status.startTime
        return {
            "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": uid},
            "startTime": str(started or stamp),
            "containers": containers,
            "cpu": {
                "time": stamp,
                "usageNanoCores": sum(c["cpu"]["usageNanoCores"] for c in containers),
                "usageCoreNanoSeconds": sum(c["cpu"]["usageCoreNanoSeconds"] for c in containers),
            },
            "memory": {
                "time": stamp,
                "usageBytes": sum(c["memory"]["usageBytes"] for c in containers),
                "workingSetBytes": sum(c["memory"]["workingSetBytes"] for c in containers),
            },
        }

    def _container(self, name: str, started: str, each: ContainerUsage, stamp: str) -> dict[str, Any]:
        return {
            "name": name,
            "startTime": started,
            "cpu": {
                "time": stamp,
                "usageNanoCores": self._rates.get(each.id, 0),
                "usageCoreNanoSeconds": each.cpu_nanoseconds,
            },
            "memory": {
                "time": stamp,
                "usageBytes": each.memory_usage,
                "workingSetBytes": each.memory_working_set,
            },
            "rootfs": {"time": stamp, "usedBytes": each.rootfs_bytes},
        }


def _seconds(used: dict[str, Any]) -> str:
    """Core seconds."""
    return f"{used['cpu']['usageCoreNanoSeconds'] / 1e9:.6f}"


def _working_set(used: dict[str, Any]) -> int:
    return int(used["memory"]["workingSetBytes"])
