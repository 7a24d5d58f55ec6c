"""How the user of a simulation does anything: looks, chooses by chance, changes, deletes, and says so.

`user.User` makes one and gives it to its themes. Requests have no faults, unless the API server is down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from kijabi.api import codec
from kijabi.api.core.namespace import Namespace
from kijabi.base import rand
from kijabi.base.errors import NotFound
from kijabi.client.client import Client
from kijabi.testing.meter import App
from kijabi.testing.wishes.templates import plain

Wish = Callable[[], Awaitable[None]]
WAYS = ("Background", "Foreground", "Orphan")


class Theme(Protocol):
    """One sort of things that a user wishes for. kinds: what is to be deleted in the end, owners first.

    wishes: with their weights, the first of them makes something. first: how often that is done at the beginning.
    """

    kinds: tuple[type[Any], ...]
    first: int

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        """What may be wished for, and how often beside the others."""
        ...

    async def repair(self) -> None:
        """Make what is wished for something that can be had."""
        ...

    async def update(self) -> None:
        """Roll out something new, where that means something."""
        ...


class Hand:
    """See the module. say: told what is done, in words; most: things of a kind at a time. load: what the pods of an app
    have to do (`meter.Meter`)."""

    def __init__(self, client: Client, say: Callable[[str], None], most: int) -> None:
        self.client = client
        self.say = say
        self.most = most
        self.load: dict[App, int] = {}
        self._number = 0

    def number(self) -> int:
        """One that was not there before."""
        self._number += 1
        return self._number

    def name(self, base: str) -> str:
        """A new name, or now and then one that was there perhaps."""
        chance = rand.rng()
        return f"{base}-{chance.randrange(3) if chance.random() < 0.3 else self.number()}"

    async def all(self, cls: type[Any]) -> list[Any]:
        """All objects of a kind but those of the cluster itself."""
        found = (await self.client.list(cls)).items
        return [one for one in found if one.metadata.name != "kubernetes"]

    async def living(self, cls: type[Any]) -> list[Any]:
        """Those that nobody deletes."""
        return [one for one in await self.all(cls) if one.metadata.deletionTimestamp is None]

    async def one(self, cls: type[Any]) -> Any:
        """One of them by chance, None if there is none."""
        found = await self.all(cls)
        return rand.rng().choice(found) if found else None

    async def full(self, cls: type[Any]) -> bool:
        """Whether there are enough of a kind."""
        return len(await self.all(cls)) >= self.most

    async def namespaces(self) -> list[str]:
        """The namespaces that are the user's."""
        names = [one.metadata.name for one in await self.all(Namespace)]
        return [name for name in names if not name.startswith("kube-")]

    async def namespace(self) -> str:
        """One of them."""
        return rand.rng().choice(await self.namespaces())

    async def create(self, cls: type[Any], name: str, namespace: str, about: str = "", **fields: Any) -> None:
        """Create an object from wire data."""
        self.say(f"user: create {cls.__name__} {namespace}/{name} {about}")
        meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
        given = fields.pop("metadata", {})
        await self.client.create(codec.from_builtins(cls, plain({"metadata": {**meta, **given}, **fields})))

    async def change(self, obj: Any, patch: dict[str, Any]) -> None:
        """Patch an object, if it is there."""
        meta = obj.metadata
        kind = type(obj).__name__
        self.say(f"user: change {kind} {meta.namespace}/{meta.name}: {str(plain(patch))[:200]}")
        try:
            await self.client.patch(type(obj), meta.name, patch, namespace=meta.namespace, type="strategic")
        except NotFound:
            return

    async def delete(self, obj: Any, how: str = "") -> None:
        """Delete an object, if it is there, in one of the three ways."""
        if obj is None:
            return
        how = how or rand.rng().choice(WAYS)
        meta = obj.metadata
        self.say(f"user: delete {type(obj).__name__} {meta.namespace}/{meta.name} {how}")
        try:
            await self.client.delete(type(obj), meta.name, meta.namespace, propagation=how)
        except NotFound:
            return


def app_of(workload: Any) -> str:
    """The label that a workload's pods have."""
    return str(workload.spec.template.metadata.labels["app"])


def variant_of(template: Any) -> str:
    """What a template was made as."""
    return str(template.metadata.annotations.get("variant", "plain"))
