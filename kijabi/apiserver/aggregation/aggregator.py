"""Keeps track of who serves which group and version, and tells those who must know.

Receives events of APIServices, CustomResourceDefinitions, Services and EndpointSlices from the watch caches. Ranks
and versions go to discovery at once; a few workers then ask aggregated API servers whether they are well, what they
serve and what it looks like. `server.py` asks `find` for each request and hands what is not served here to `forward`.
A server that hangs holds up one worker for a bounded time; requests to others do not pass here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from kijabi.api import catalog
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.apiregistration.apiservice import APIService, is_available, set_available, set_local
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import SERVICE_NAME, EndpointSlice
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver.aggregation import availability, discovery, openapi, proxy
from kijabi.apiserver.aggregation.backends import Backends, Unreachable, Untrusted
from kijabi.apiserver.aggregation.ranks import Rank
from kijabi.apiserver.aggregation.registration import Registration
from kijabi.apiserver.attributes import Answer, Peer, UserInfo
from kijabi.apiserver.bootstrap import place
from kijabi.apiserver.discovery import Discovery, Foreign
from kijabi.apiserver.openapi.serving import OpenApi
from kijabi.apiserver.storage import Storage
from kijabi.apiserver.webhooks.services import Unresolved
from kijabi.base import clock
from kijabi.base.errors import KijabiError, NotFound
from kijabi.base.tasks import every
from kijabi.client.queue import WorkQueue
from kijabi.client.transport import Request

log = logging.getLogger(__name__)

WORKERS = 5
RESYNC = 30.0  # seconds between two looks at a server that is well
OPENAPI_SECONDS = 60.0  # between two looks at its OpenAPI documents
FIRST_RETRY, MOST_RETRY = 0.2, 30.0  # seconds between two looks at one that is not
TRUST_SECONDS = 60.0  # between two looks at the ConfigMap that says whom to believe
TRUST = "extension-apiserver-authentication"
Key = tuple[str, str]  # group and version
_STALE = Foreign(stale=True)


class Aggregator:
    """`start` when the caches are loaded, `install` once writes work, `run` for as long as the server lives."""

    def __init__(self, storage: Storage, shown: Discovery, described: OpenApi, backends: Backends) -> None:
        self.remotes: dict[Key, APIService] = {}  # what is served by somebody else
        self._storage = storage
        self._reader = storage.caches
        self._cache = storage.caches.of(catalog.by_type(APIService))
        self._discovery = shown
        self._openapi = described
        self._backends = backends
        self._registration = Registration(storage, shown.routes.own)
        self._queue = WorkQueue(first_backoff=FIRST_RETRY, most_backoff=MOST_RETRY)
        self._known: dict[str, discovery.Known] = {}
        self._documents: dict[str, tuple[float, openapi.Known]] = {}

    # Events

    def start(self) -> None:
        """Listen to the caches."""
        self._reader.subscribe(CustomResourceDefinition, self._definition_changed)
        self._reader.subscribe(APIService, self._changed)
        self._reader.subscribe(Service, lambda old, new: self._look_behind(new or old, ""))
        self._reader.subscribe(EndpointSlice, lambda old, new: self._look_behind(new or old, SERVICE_NAME))

    def _definition_changed(self, old: CustomResourceDefinition | None, new: CustomResourceDefinition | None) -> None:
        for name in self._registration.definition_changed(old, new):
            self._queue.add(name)

    def _changed(self, old: APIService | None, new: APIService | None) -> None:
        either = new or old
        assert either is not None
        spec = either.spec
        key = (spec.group, spec.version)
        self._discovery.rank(*key, Rank(spec.groupPriorityMinimum, spec.versionPriority) if new is not None else None)
        if new is not None and new.spec.service is not None:
            first = key not in self.remotes
            self.remotes[key] = new
            if first:
                self._discovery.publish(*key, _STALE)
        elif self.remotes.pop(key, None) is not None:
            self._discovery.withdraw(*key)
            self._openapi.withdraw(*key)
        # Conditions are written here: to look again after each would be to look for ever.
        if old is None or new is None or old.spec != new.spec:
            self._known.pop(either.metadata.name, None)
            self._documents.pop(either.metadata.name, None)
            self._queue.forget(either.metadata.name)
            self._queue.add(either.metadata.name)

    def _look_behind(self, obj: Service | EndpointSlice | None, label: str) -> None:
        """A Service or what is behind it has changed."""
        if not self.remotes or obj is None:
            return
        own = obj.metadata
        name = (own.labels or {}).get(label, "") if label else own.name
        for service in self.remotes.values():
            place = service.spec.service
            if place is not None and (place.namespace, place.name) == (own.namespace, name):
                self._queue.add(service.metadata.name)

    # Requests

    def find(self, path: str) -> APIService | None:
        """Who else serves a path; None for what is served here."""
        if not self.remotes:
            return None
        match path.split("/", 4):
            case ["", "apis", group, version, *_]:
                return self.remotes.get((group, version))
            case ["", "api", *_]:
                return self.remotes.get(("", "v1"))
            case _:
                return None

    async def forward(
        self, service: APIService, request: Request, peer: Peer, user: UserInfo, until: float | None
    ) -> Answer:
        """Pass a request on; see `proxy.forward`."""
        return await proxy.forward(self._backends, service, request, peer, user, until)

    # Work

    async def install(self) -> None:
        """Make the APIServices of what is served here."""
        await self._registration.install()

    async def run(self, trust: Mapping[str, str] | None = None) -> None:
        """Until cancelled. trust: the data of the ConfigMap that tells aggregated API servers whom to believe."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work(), name="aggregation")
            if trust:
                await self._publish_trust(trust)
                await every(TRUST_SECONDS, lambda: self._publish_trust(trust), name="aggregation trust")

    async def _publish_trust(self, trust: Mapping[str, str]) -> None:
        def mend(there: ConfigMap, wanted: ConfigMap) -> bool:
            missing = any((there.data or {}).get(name) != value for name, value in wanted.data.items())
            there.data = {**(there.data or {}), **wanted.data}
            return missing

        wanted = ConfigMap(metadata=ObjectMeta(name=TRUST, namespace="kube-system"), data=dict(trust))
        await place(self._storage, wanted, mend)

    async def _work(self) -> None:
        while True:
            name = await self._queue.get()
            try:
                await self._reader.fresh()
                well = await self._sync(name)
            except KijabiError as error:
                log.warning("API service not settled", extra={"service": name, "reason": str(error)})
                well = False
            except Exception:  # one server's nonsense must not end the others' care
                log.exception("API service not settled", extra={"service": name})
                well = False
            finally:
                self._queue.done(name)
            if not well:
                self._queue.add_backoff(name)
            else:
                self._queue.forget(name)
                if self._current(name) is not None:
                    self._queue.add_after(name, RESYNC)

    def _current(self, name: str) -> APIService | None:
        """The APIService, if somebody else serves it."""
        found = self._reader.get(APIService, name)
        return found if found is not None and found.spec.service is not None else None

    async def _sync(self, name: str) -> bool:
        """Settle one APIService; whether there is nothing left to do soon."""
        service = self._current(name)
        if service is None:
            self._known.pop(name, None)
            self._documents.pop(name, None)
            await self._registration.sync(name)
            there = self._reader.get(APIService, name)
            if there is not None and there.spec.service is None and not is_available(there):
                await self._write(there, set_local)
            return True
        verdict = await availability.check(self._reader, self._backends, service)
        await self._write(service, lambda obj: set_available(obj, *verdict))
        if not verdict.passed:
            self._publish(service, _STALE)
            return False
        well = await self._show(name, service)
        await self._describe(name, service)
        return well

    async def _write(self, service: APIService, change: Callable[[APIService], None]) -> None:
        """Change the conditions, if it is still the same that was looked at."""

        def same(obj: APIService) -> None:
            if obj.spec == service.spec:
                change(obj)

        try:
            await self._storage.rewrite(self._cache, service.metadata.name, same)
        except NotFound:
            return  # it went meanwhile, and its event has been seen

    async def _show(self, name: str, service: APIService) -> bool:
        """Fetch discovery; whether that went well."""
        try:
            known = await discovery.fetch(self._backends, service, self._known.get(name))
        except (Unreachable, Unresolved, Untrusted) as error:
            log.info("no discovery", extra={"service": name, "reason": str(error)})
            self._publish(service, _STALE)
            return False
        self._known[name] = known
        self._publish(service, known.foreign)
        return True

    def _publish(self, service: APIService, foreign: Foreign) -> None:
        key = (service.spec.group, service.spec.version)
        if key in self.remotes:
            self._discovery.publish(*key, foreign)

    async def _describe(self, name: str, service: APIService) -> None:
        """Fetch OpenAPI, now and then. What cannot be had leaves what was there before."""
        now = clock.monotonic()
        last, known = self._documents.get(name, (None, None))
        if last is not None and now - last < OPENAPI_SECONDS:
            return
        try:
            known = await openapi.fetch(self._backends, service, known)
        except (Unreachable, Unresolved, Untrusted) as error:
            log.info("no OpenAPI", extra={"service": name, "reason": str(error)})
        if known is not None:
            self._documents[name] = (now, known)
            key = (service.spec.group, service.spec.version)
            if key in self.remotes:
                self._openapi.publish(*key, known.foreign)
