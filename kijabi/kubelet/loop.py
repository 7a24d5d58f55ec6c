"""The kubelet: everything together, and the routes by which news reaches the pod workers.

    informer (pods of this node) ─┐
    runtime events (cache.py) ────┤
    probe results (probes.py) ────┼──▶ PodWorker.wake() ──▶ look, decide, act, tell
    ConfigMaps, Secrets, claims ──┘

Made by `app.py` with a real runtime, by a simulation with a fake one. Nothing here blocks, and nothing polls.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping

from kijabi.api.certificates.podcertificaterequest import PodCertificateRequest
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.service import Service
from kijabi.api.meta import time_now
from kijabi.base.backoff import Backoff
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.client.informer import Informer, Informers
from kijabi.kubelet import dns, orphans, podspec, status
from kijabi.kubelet.actions import Starter, Surround
from kijabi.kubelet.admission import admit
from kijabi.kubelet.cache import RuntimeCache
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.configs import NodeFacts
from kijabi.kubelet.dialer import Dialer
from kijabi.kubelet.gc import Collector
from kijabi.kubelet.groups import Groups
from kijabi.kubelet.hooks import Hooks
from kijabi.kubelet.images import Images
from kijabi.kubelet.killing import Killing
from kijabi.kubelet.machine import Machine
from kijabi.kubelet.messages import Messages
from kijabi.kubelet.node import NodeAgent
from kijabi.kubelet.parts import Parts
from kijabi.kubelet.podworker import PodWorker
from kijabi.kubelet.pressure import PressureWatch
from kijabi.kubelet.probes import Probes
from kijabi.kubelet.references import References
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.resize import verdict
from kijabi.kubelet.rotation import Rotation
from kijabi.kubelet.runtime.interface import Runtime
from kijabi.kubelet.statuses import Statuses
from kijabi.kubelet.volumes.certificates import Certificates
from kijabi.kubelet.volumes.files import Files
from kijabi.kubelet.volumes.manager import Volumes
from kijabi.kubelet.volumes.persistent import Persistent
from kijabi.kubelet.volumes.tokens import Tokens

log = logging.getLogger(__name__)

STARTS_PER_CORE = 2


class Kubelet:
    """One node's kubelet. informers: shared with others in this process, or None for its own.

    The lifecycle: make it, `run()` in a task; it adopts what runs here already, and leaves it running when cancelled.
    """

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        runtime: Runtime,
        *,
        files: Files,
        dialer: Dialer,
        groups: Groups,
        machine: Machine,
        informers: Informers | None = None,
    ) -> None:
        self.config, self.client, self.runtime, self.machine = config, client, runtime, machine
        self._own_informers = informers is None
        self._informers = informers or Informers(client)
        self.pods = self._informers.of(Pod, fields=f"spec.nodeName={config.node}")
        self.services = self._informers.of(Service)
        self.nodes = self._informers.of(Node, fields=f"metadata.name={config.node}")
        self.recorder = Recorder(client, "kubelet", config.node)
        reports = Reports(self.recorder, config.node)
        cache = RuntimeCache(runtime, self._runtime_changed, Messages(files).enrich)
        references = References(client, self._refs_changed)
        requests = Informer(client, PodCertificateRequest, fields=f"spec.nodeName={config.node}")
        self.certificates = Certificates(client, requests, config.node, self._uid, reports, self._refs_changed)
        persistent = Persistent(files, references, reports, self._labels, config.pods_root)
        volumes = Volumes(
            files, references, Tokens(client), self.certificates, runtime.views, persistent, config.pods_root
        )
        probes = Probes(runtime, dialer, reports, cache.view, self._wake)
        hooks = Hooks(runtime, dialer)
        killing = Killing(runtime, cache, hooks, reports)
        images = Images(runtime, reports)
        self.agent = NodeAgent(config, client, runtime, machine, reports)
        self.nodes.add_handler(lambda _, node: self.agent.seen(node) if node is not None else None)
        around = self._surround()
        starter = Starter(
            client, runtime, cache, references, volumes, files, images, groups, killing, hooks, reports,
            around,
        )  # fmt: skip
        self.parts = Parts(
            runtime, config.runtime_name, (config.address,), config.log_root, cache, references, volumes, files,
            images, groups, killing, starter, probes, Statuses(client), reports,
            around.node, self._may_resize,
        )  # fmt: skip
        self.workers: dict[str, PodWorker] = {}
        self.collector = Collector(self.parts, machine, config, self.agent.images_changed)
        self.pressure = PressureWatch(config, machine, runtime, self.agent.set_pressure)
        self.listeners: dict[str, list[Callable[[], None]]] = {}  # by pod uid: who follows its logs
        self._apparmor = machine.read("/sys/module/apparmor/parameters/enabled").strip() == "Y"
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Be this node's kubelet until cancelled."""
        parts = self.parts
        async with asyncio.TaskGroup() as group:
            self._group = group
            if self._own_informers:
                group.create_task(self._informers.run(), name="informers")
            group.create_task(self.recorder.run(), name="events")
            group.create_task(parts.references.run(), name="references")
            group.create_task(self.certificates.run(), name="certificates")
            group.create_task(parts.probes.run(), name="probes")
            group.create_task(parts.statuses.run(), name="statuses")
            group.create_task(parts.cache.run(), name="runtime cache")
            group.create_task(self.agent.run(), name="node")
            await self._adopt()
            group.create_task(self.collector.run(self._known), name="garbage collection")
            group.create_task(self.pressure.run(self._running), name="pressure")
            group.create_task(Rotation(parts, self.config).run(), name="log rotation")

    async def wait_registered(self) -> None:
        """Return once the node is in the cluster and its first status was sent."""
        await self.agent.registered.wait()

    def _surround(self) -> Surround:
        config = self.config
        resolver = dns.parse_resolv_conf(self.machine.read(config.resolv_conf))
        node = NodeFacts(
            cluster_dns=config.cluster_dns,
            cluster_domain=config.cluster_domain,
            host_resolver=resolver,
            memory=self.machine.capacity().memory,
            log_root=config.log_root,
            use_cgroups=not config.fake,
        )
        return Surround(
            node=node,
            host_ips=(config.address,),
            services=self.services.items,
            allocatable=lambda: self.agent.status().allocatable,
            node_hosts=lambda: self.machine.read("/etc/hosts"),
            slots=asyncio.Semaphore(STARTS_PER_CORE * (os.cpu_count() or 1)),
        )

    # Adoption

    async def _adopt(self) -> None:
        """Take over what is here: pods of the API with or without containers, and containers of no pod."""
        await self.parts.cache.wait_synced()
        await self.pods.wait_synced()
        await self.services.wait_synced()
        await self.agent.registered.wait()
        for pod in sorted(self.pods.items(), key=lambda pod: pod.metadata.creationTimestamp):
            self._added(pod)
        self.pods.add_handler(self._pod_changed)
        for uid in self.parts.cache.uids() - self.workers.keys():
            view = self.parts.cache.view(uid)
            log.info("stopping a pod that the API server does not know", extra={"pod": uid, "name": view.name})
            self._start(PodWorker(orphans.pod_from_view(view), self.parts, gone=True))
        for uid in {*self.parts.volumes.leftovers(), *self.parts.groups.leftovers()} - self.workers.keys():
            self._start(PodWorker(orphans.bare_pod(uid), self.parts, gone=True))

    def _known(self) -> frozenset[str]:
        """The pods that have a worker."""
        return frozenset(self.workers)

    def _running(self) -> Iterable[PodWorker]:
        """The workers of pods that have not ended."""
        return [worker for worker in self.workers.values() if not podspec.is_terminal(worker.pod)]

    # News

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._removed(old)
        if new is None:
            return
        worker = self.workers.get(new.metadata.uid)
        if worker is None:
            self._added(new)
        else:
            self.parts.statuses.observe(new)
            worker.update(new)

    def _added(self, pod: Pod) -> None:
        """A pod of this node that has no worker yet; one that the node cannot take is rejected."""
        uid = pod.metadata.uid
        if uid in self.workers:
            return
        new = not self.parts.cache.view(uid).containers and pod.metadata.deletionTimestamp is None
        if new and not podspec.is_terminal(pod):
            node = self.nodes.get(self.config.node) or self.agent.node
            others = (worker.pod for worker in self._running() if not worker.gone)
            refused = admit(pod, node, others, apparmor=self._apparmor) if node is not None else None
            if refused is not None:
                self.parts.reports.pod(pod, "Warning", refused.reason, refused.message)
                rejected = status.rejected(pod, refused.reason, refused.message, time_now())
                self.parts.statuses.publish(pod, rejected)
                return
        self._start(PodWorker(pod, self.parts))

    def _may_resize(self, pod: Pod) -> tuple[str, str] | None:
        others = (w.pod for w in self._running() if not w.gone and w.uid != pod.metadata.uid)
        return verdict(pod, self.agent.status().allocatable, others)

    def _removed(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self.parts.statuses.drop(uid)
        worker = self.workers.get(uid)
        if worker is not None:
            worker.removed()

    def _wake(self, uid: str) -> None:
        worker = self.workers.get(uid)
        if worker is not None:
            worker.wake()

    def _runtime_changed(self, uid: str) -> None:
        self.parts.probes.notice(uid)
        self._wake(uid)
        for listener in self.listeners.get(uid, ()):
            listener()

    def _uid(self) -> str:
        """This node's, "" until it is known."""
        node = self.nodes.get(self.config.node) or self.agent.node
        return node.metadata.uid if node is not None else ""

    def _labels(self) -> Mapping[str, str]:
        """This node's."""
        node = self.nodes.get(self.config.node) or self.agent.node
        return node.metadata.labels if node is not None else {}

    def _refs_changed(self, uid: str) -> None:
        worker = self.workers.get(uid)
        if worker is not None:
            worker.refs_changed()

    # Workers

    def _start(self, worker: PodWorker) -> None:
        assert self._group is not None
        self.workers[worker.uid] = worker
        meta = worker.pod.metadata
        self._group.create_task(self._work(worker), name=f"pod {meta.namespace}/{meta.name}")

    async def _work(self, worker: PodWorker) -> None:
        """Run a worker to its end. A fault in one pod's work must not take the node: it is logged and tried again."""
        delays = Backoff(first=1.0, most=60.0)
        while True:
            try:
                await worker.run()
                break
            except Exception:
                wait = delays.next()
                log.exception("pod worker failed", extra={"pod": worker.uid, "retry_in": round(wait, 1)})
                await asyncio.sleep(wait)
        self.workers.pop(worker.uid, None)
        self.listeners.pop(worker.uid, None)
        for other in self.workers.values():
            if other.resizing is not None:
                other.wake()
