"""The node in the cluster: registered, its status kept true, its lease renewed.

Reads the machine and the runtime, hands on to the API server. The status is sent when it changed and every five
minutes; the lease, which says that the node is alive, every ten seconds (KEP-589).
"""

from __future__ import annotations

import asyncio
import logging

from kijabi.api import codec
from kijabi.api.coordination.lease import Lease, LeaseSpec
from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeStatus
from kijabi.api.meta import ObjectMeta, OwnerReference, micro_now, time_now
from kijabi.base import clock
from kijabi.base.backoff import Backoff
from kijabi.base.errors import AlreadyExists, ApiError, Conflict, ConnectionLost, NotFound
from kijabi.client.client import Client
from kijabi.kubelet import nodestatus
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.machine import Machine
from kijabi.kubelet.nodestatus import Found, Pressure
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.runtime.interface import Image, Runtime, RuntimeFailure, RuntimeInfo

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS, RENEW_SECONDS = 40, 10.0
CHECK_SECONDS, REPORT_SECONDS = 10.0, 300.0
# A runtime that is started anew may be away for so long before the node counts as not ready.
RUNTIME_SECONDS = 30.0


class NodeAgent:
    """Keeps this node's Node object and Lease. `node` is the object as the server last showed it, or None."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        runtime: Runtime,
        machine: Machine,
        reports: Reports,
    ) -> None:
        self._config, self._client, self._runtime = config, client, runtime
        self._machine, self._reports = machine, reports
        self.node: Node | None = None
        self.pressure = Pressure()
        self.info: RuntimeInfo | None = None
        self.registered = asyncio.Event()
        self._images: tuple[Image, ...] = ()
        self._images_stale = True
        self._made = NodeStatus()  # what others write into the node's status does not count here
        self._changed = asyncio.Event()
        self._reported = 0.0
        self._trouble = "not looked yet"
        self._answered = 0.0  # when the runtime last answered
        self._lease: Lease | None = None

    async def run(self) -> None:
        """Register, then report for ever; a task for a TaskGroup."""
        await self._register()
        self._reports.node("Normal", "Starting", "Starting kubelet.")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report(), name="node status")
            group.create_task(self._renew(), name="node lease")

    def seen(self, node: Node) -> None:
        """The server shows it like this. What others wrote meanwhile (that nobody hears of us) is put right at once."""
        known = self.node
        if known is None or node.metadata.uid != known.metadata.uid:
            return
        if int(node.metadata.resourceVersion) > int(known.metadata.resourceVersion):
            self.node = node
            self._changed.set()

    def images_changed(self) -> None:
        """An image was pulled or removed."""
        self._images_stale = True
        self._changed.set()

    def set_pressure(self, pressure: Pressure) -> None:
        """The node runs short of something, or no longer does."""
        if pressure != self.pressure:
            self.pressure = pressure
            self._changed.set()

    def status(self) -> NodeStatus:
        """The last status that was made, empty before the first."""
        return self._made

    async def _register(self) -> None:
        """Create the Node, or bring the labels of the one that is there up to date."""
        delays = Backoff(first=0.1, most=7.0)
        while True:
            try:
                wanted = nodestatus.new_node(self._config, self._machine.identity().architecture)
                wanted.status = await self._make_status(NodeStatus())
                try:
                    self.node = await self._client.create(wanted)
                    log.info("node registered", extra={"node": self._config.node})
                except AlreadyExists:
                    meta = {"labels": wanted.metadata.labels, "annotations": wanted.metadata.annotations}
                    patch = {"metadata": meta}
                    self.node = await self._client.patch(Node, self._config.node, patch)
                await self._send_status(force=True)
                self.registered.set()
                return
            except (ApiError, ConnectionLost) as problem:
                wait = delays.next()
                log.warning("node not registered", extra={"reason": str(problem), "retry_in": round(wait, 2)})
                await asyncio.sleep(wait)

    async def _report(self) -> None:
        delays = Backoff(first=0.2, most=CHECK_SECONDS)
        wait = 0.0
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self._send_status()
                delays.reset()
                wait = CHECK_SECONDS if self._steady() else 0.5
            except NotFound:
                log.warning("the Node object was deleted; registering again")
                await self._register()
            except (ApiError, ConnectionLost) as problem:
                wait = delays.next()
                log.warning("node status not sent", extra={"reason": str(problem)})

    def _steady(self) -> bool:
        """Whether the node is ready, so that there is no need to look often."""
        return not self._trouble

    async def _send_status(self, *, force: bool = False) -> None:
        assert self.node is not None
        old = self.node.status
        new = self._made = await self._make_status(old)
        late = clock.monotonic() - self._reported >= REPORT_SECONDS
        if not (force or late or nodestatus.differs(old, new)):
            return
        self._announce(old, new)
        before, after = codec.to_builtins(old), codec.to_builtins(new)
        changes = {key: after.get(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        if "addresses" in changes:
            changes["addresses"] = [{"$patch": "replace"}, *after["addresses"]]
        if changes:
            self.node = await self._client.patch(
                Node, self._config.node, {"status": changes}, type="strategic", subresource="status"
            )
        self._reported = clock.monotonic()

    async def _make_status(self, previous: NodeStatus) -> NodeStatus:
        self._trouble = await self._look_at_runtime()
        found = Found(
            identity=self._machine.identity(),
            capacity=self._machine.capacity(),
            runtime=self.info,
            images=self._images,
            pressure=self.pressure,
            trouble=self._trouble,
        )
        return nodestatus.node_status(self._config, found, previous, time_now())

    async def _look_at_runtime(self) -> str:
        """Ask the runtime how it is; gives why it cannot run pods, or ""."""
        try:
            self.info = await self._runtime.info()
            if self._images_stale:
                self._images = await self._runtime.list_images()
                self._images_stale = False
        except (RuntimeFailure, ConnectionLost) as problem:
            if self.info is not None and clock.monotonic() - self._answered < RUNTIME_SECONDS:
                return nodestatus.trouble_of(self.info, "")
            return nodestatus.trouble_of(None, str(problem))
        self._answered = clock.monotonic()
        return nodestatus.trouble_of(self.info, "")

    def _announce(self, old: NodeStatus, new: NodeStatus) -> None:
        """Events for conditions that turned."""
        before = {c.type: c.status for c in old.conditions}
        for condition in new.conditions:
            if before.get(condition.type) in (None, condition.status):
                continue
            if condition.type == "Ready":
                reason = "NodeReady" if condition.status == "True" else "NodeNotReady"
            else:
                reason = condition.reason.replace("Kubelet", "Node", 1)
            text = f"Node {self._config.node} status is now: {reason}"
            self._reports.node("Normal", reason, text)

    async def _renew(self) -> None:
        delays = Backoff(first=0.2, most=7.0)
        while True:
            try:
                await self._renew_once()
                delays.reset()
                await asyncio.sleep(RENEW_SECONDS)
            except (NotFound, Conflict):
                self._lease = None
                await asyncio.sleep(delays.next())
            except (ApiError, ConnectionLost) as problem:
                log.warning("lease not renewed", extra={"reason": str(problem)})
                await asyncio.sleep(delays.next())

    async def _renew_once(self) -> None:
        if self._lease is None:
            self._lease = await self._get_or_create_lease()
        lease = codec.clone(self._lease)
        lease.spec.holderIdentity = self._config.node
        lease.spec.leaseDurationSeconds = LEASE_SECONDS
        lease.spec.renewTime = micro_now()
        self._lease = await self._client.update(lease)

    async def _get_or_create_lease(self) -> Lease:
        try:
            return await self._client.get(Lease, self._config.node, LEASE_NAMESPACE)
        except NotFound:
            assert self.node is not None
            owner = OwnerReference(apiVersion="v1", kind="Node", name=self._config.node, uid=self.node.metadata.uid)
            meta = ObjectMeta(name=self._config.node, namespace=LEASE_NAMESPACE, ownerReferences=(owner,))
            spec = LeaseSpec(
                holderIdentity=self._config.node, leaseDurationSeconds=LEASE_SECONDS, renewTime=micro_now()
            )
            return await self._client.create(Lease(metadata=meta, spec=spec))
