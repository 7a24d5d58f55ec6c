"""Which volumes a node has attached, as its status says: what a kubelet waits for before it mounts.

The list follows from the VolumeAttachments of the node that are attached. One that is about to be deleted is taken out
first: `leave` marks it, and it stays out until the informer shows that it has gone. Only this part writes the list, one
write of a node at a time, and the answer shows what the node uses at that moment (core/v1 NodeStatus.volumesAttached).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from kijabi.api.core.node import Node
from kijabi.api.storage.volumeattachment import VolumeAttachment
from kijabi.base.errors import NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informer
from kijabi.controllers.attachdetach.volumes import managed
from kijabi.controllers.sources import NODE

Names = Callable[[VolumeAttachment], Iterable[str]]


class Reports:
    """names: the unique name of an attachment's volume. welcome: called with each name that is new on a node."""

    def __init__(
        self,
        client: Client,
        nodes: Informer[Node],
        attachments: Informer[VolumeAttachment],
        names: Names,
        welcome: Callable[[str, str], None],
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._attachments = attachments
        self._names = names
        self._welcome = welcome
        self._leaving: set[str] = set()  # uids of attachments
        self._locks: dict[str, asyncio.Lock] = {}
        attachments.add_handler(self._gone)

    def leave(self, attachment: VolumeAttachment) -> None:
        """It is about to be deleted."""
        self._leaving.add(attachment.metadata.uid)

    def stay(self, attachment: VolumeAttachment) -> None:
        """It is not to be deleted after all."""
        self._leaving.discard(attachment.metadata.uid)

    async def write(self, name: str, *, ask: bool = False) -> Node | None:
        """Put the node's list right; the node as it is then, None if there is none.

        ask: the server, even if nothing changes. Raises ApiError or ConnectionLost.
        """
        node = self._nodes.get(name)
        if node is None:
            self._locks.pop(name, None)
            return None
        async with self._locks.setdefault(name, asyncio.Lock()):
            try:
                return await self._write(self._nodes.get(name) or node, ask)
            except NotFound:
                return None

    async def _write(self, node: Node, ask: bool) -> Node:
        own = node.metadata
        before = tuple((one.name, one.devicePath) for one in node.status.volumesAttached)
        names = sorted({name for one in self._attachments.index(NODE, own.name) for name in self._attached(one)})
        if not managed(node) or before == tuple((name, "") for name in names):
            return await self._client.get(Node, own.name) if ask else node
        listed = [{"name": name, "devicePath": ""} for name in names]
        patch = {"metadata": {"uid": own.uid}, "status": {"volumesAttached": listed}}
        written = await self._client.patch(Node, own.name, patch, subresource="status")
        for name in set(names) - {name for name, _ in before}:
            self._welcome(name, own.name)
        return written

    def _attached(self, attachment: VolumeAttachment) -> Iterable[str]:
        own = attachment.metadata
        there = attachment.status.attached and own.deletionTimestamp is None and own.uid not in self._leaving
        return self._names(attachment) if there else ()

    def _gone(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._leaving.discard(old.metadata.uid)
