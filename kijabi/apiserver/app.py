"""Puts the API server together: store, caches, registry, security, pages, background tasks.

`cmd` builds an App with `secured` and serves it with `http.Http`; the simulation builds one with `open_to_all` and
calls `app.api.handle`. `start` loads the caches and makes the default objects; `run` is the server's own work for as
long as it lives.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from kijabi.api import catalog, features
from kijabi.api.resource import Resource
from kijabi.apiserver.addresses import Addresses, repair
from kijabi.apiserver.addressrepair import Repair
from kijabi.apiserver.admission.chain import Chain, dynamic, plugins
from kijabi.apiserver.admission.kinds import Kinds
from kijabi.apiserver.aggregation.aggregator import Aggregator
from kijabi.apiserver.aggregation.backends import Backends, ClientPair
from kijabi.apiserver.attributes import Authenticator, Authorizer, Peer, UserInfo
from kijabi.apiserver.audit import setup
from kijabi.apiserver.authn import oidc
from kijabi.apiserver.authn.build import accounts, build
from kijabi.apiserver.authn.requestheader import configuration
from kijabi.apiserver.authn.tokens import Keys
from kijabi.apiserver.authz.modes import Modes
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.authz.union import AlwaysAllow
from kijabi.apiserver.bootstrap import Bootstrap
from kijabi.apiserver.call import Handler
from kijabi.apiserver.crd.serving import CustomResources
from kijabi.apiserver.discovery import Discovery
from kijabi.apiserver.expiry import Expiry
from kijabi.apiserver.flags import Flags
from kijabi.apiserver.flowcontrol.protection import Protection
from kijabi.apiserver.managedfields import FieldManager
from kijabi.apiserver.metrics import Metrics
from kijabi.apiserver.openapi.serving import OpenApi
from kijabi.apiserver.plain import Page, Plain
from kijabi.apiserver.reading import Reading
from kijabi.apiserver.registry import Registry
from kijabi.apiserver.resourcemetrics.serving import ResourceMetrics
from kijabi.apiserver.routes import Routes, is_stored
from kijabi.apiserver.server import ApiServer
from kijabi.apiserver.storage import Storage
from kijabi.apiserver.subresources.backend import Dial, dial
from kijabi.apiserver.subresources.binding import Bindings
from kijabi.apiserver.subresources.components import Components
from kijabi.apiserver.subresources.eviction import Evictions
from kijabi.apiserver.subresources.kubelets import Kubelets, Tls
from kijabi.apiserver.subresources.log import Logs
from kijabi.apiserver.subresources.proxy import Proxies
from kijabi.apiserver.subresources.reviews import Reviews
from kijabi.apiserver.subresources.scale import Scales
from kijabi.apiserver.subresources.streams import Streams
from kijabi.apiserver.subresources.token import TokenRequests
from kijabi.apiserver.watchcache import Caches
from kijabi.apiserver.webhooks.client import WebhookClient, Webhooks
from kijabi.client.transport import Request, Response
from kijabi.store.interface import Store

ISSUER = "https://kubernetes.default.svc.cluster.local"  # of service-account tokens
GC_THRESHOLDS = (50_000, 20, 50)  # objects are never part of cycles: look for those seldom


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the cluster is. advertise, port: how pods and nodes reach this server; node_ports: first and last. flags:
    what the administrator set."""

    service_cidr: str = "10.96.0.0/16"
    node_ports: tuple[int, int] = (30000, 32767)
    advertise: str = "127.0.0.1"
    port: int = 6443
    issuer: str = ISSUER
    flags: Flags = Flags()

    @property
    def service_ip(self) -> str:
        """The address of the kubernetes Service: the first of the range."""
        return str(ipaddress.ip_network(self.service_cidr)[1])


class Security(NamedTuple):
    """Who may do what: the parts that decide; how kubelets are reached. open_, front_proxy: how aggregated API servers
    are reached, and our certificate there; trust: what they are told about whom to believe. works: what runs beside
    requests for as long as the server does."""

    authenticator: Authenticator
    authorizer: Authorizer
    admission: Chain
    handlers: Mapping[tuple[str, str], Handler]
    kubelets: Kubelets
    pages: Mapping[str, Page] = {}
    open_: Dial = dial
    front_proxy: ClientPair = lambda: None
    trust: Mapping[str, str] = {}
    works: Sequence[Callable[[Storage], Coroutine[Any, Any, None]]] = ()


class Anybody:
    """Everybody is the administrator: for simulations and tests that are not about access."""

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo | None:
        """See Authenticator."""
        return UserInfo("kubernetes-admin", groups=("system:masters", "system:authenticated"))


def open_to_all(caches: Caches, open_: Dial = dial) -> Security:
    """No authentication or authorisation, but all admission. Call it when the caches are loaded.

    open_: how kubelets are reached, over plain HTTP.
    """
    rbac = Rbac()
    rbac.start(caches)
    authorizer = AlwaysAllow()
    kubelets = Kubelets(caches, lambda: None, open_)
    tokens = TokenRequests(Keys.fresh(), caches, ISSUER, (ISSUER,))
    handlers: dict[tuple[str, str], Handler] = {
        **Reviews(authorizer, None).handlers(),
        ("serviceaccounts", "token"): tokens.create,
        **stream_handlers(kubelets, authorizer),
    }
    return Security(Anybody(), authorizer, Chain(plugins(caches, rbac, authorizer)), handlers, kubelets, open_=open_)


def stream_handlers(kubelets: Kubelets, authorizer: Authorizer) -> dict[tuple[str, str], Handler]:
    """What is passed on to kubelets, pods and services."""
    streams, proxies = Streams(kubelets, authorizer), Proxies(kubelets)
    return {
        ("pods", "log"): Logs(kubelets).get,
        ("pods", "exec"): streams.exec,
        ("pods", "attach"): streams.attach,
        ("pods", "portforward"): streams.portforward,
        ("pods", "proxy"): proxies.pod,
        ("services", "proxy"): proxies.service,
        ("nodes", "proxy"): proxies.node,
    }


class Files(NamedTuple):
    """What `secured` reads. client_ca: who signs client certificates; keys of service-account tokens; the pair that
    kubelets know this server by, and who signs theirs; who signs front proxies' certificates, and our own of these."""

    client_ca: Path
    account_key: Path
    account_public: Path
    kubelet_tls: Tls
    front_proxy_ca: Path
    front_proxy: ClientPair


def secured(caches: Caches, settings: Settings, files: Files) -> Security:
    """Authentication and authorisation as the flags say, by default by certificate and token, Node and RBAC.

    Call it when the caches are loaded. Raises ConfigError for flags or files that cannot be used.
    """
    flags, rbac = settings.flags, Rbac()
    rbac.start(caches)
    modes = Modes(flags, caches, rbac)
    authorizer = modes.authorizer
    own = accounts(flags, files.account_key, files.account_public, settings.issuer)
    authentication = build(
        flags, caches, authorizer, own, files.client_ca, files.front_proxy_ca, everybody=modes.everybody
    )
    kubelets = Kubelets(caches, files.kubelet_tls)
    tokens = TokenRequests(
        own.keys, caches, own.issuers[0], own.audiences, longest=flags.service_account_max_token_expiration,
        extends=flags.service_account_extend_token_expiration,
    )  # fmt: skip
    handlers: dict[tuple[str, str], Handler] = {
        **Reviews(authorizer, authentication.tokens).handlers(),
        ("serviceaccounts", "token"): tokens.create,
        **stream_handlers(kubelets, authorizer),
    }
    server = f"https://{settings.advertise}:{settings.port}"
    return Security(
        authentication.chain,
        authorizer,
        Chain(plugins(caches, rbac, authorizer)),
        handlers,
        kubelets,
        oidc.pages(own.issuers[0], flags.service_account_jwks_uri or server + oidc.KEYS_PATH, own.keys),
        front_proxy=files.front_proxy,
        trust=configuration(files.client_ca, files.front_proxy_ca),
        works=(authentication.run, modes.run),
    )


def _served(flags: Flags) -> tuple[Resource, ...]:
    """The built-in resources, without those of features that are off. Raises ConfigError."""
    gates = features.gates(flags.feature_gates)
    return features.served(catalog.RESOURCES, gates, features.versions(flags.runtime_config, catalog.RESOURCES))


class App:
    """One API server. `await start(...)`, then `run()`; `api` answers requests."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.settings = settings
        self.store = store
        served = _served(settings.flags)
        stored = [resource for resource in served if is_stored(resource)]
        self.caches = Caches(store, stored)
        self.storage = Storage(store, self.caches)
        self.addresses = Addresses(self.caches, settings.service_cidr, settings.node_ports)
        self.storage.hooks["services"] = self.addresses
        self.routes = Routes(served, self.caches)
        self.discovery = Discovery(self.routes, f"{settings.advertise}:{settings.port}")
        self.openapi = OpenApi(self.routes)
        self.metrics = Metrics()
        self.auditor = setup.auditor(settings.flags, self.metrics.audit)
        self._expiry = Expiry(self.storage, settings.flags.event_ttl)
        self.webhooks: Webhooks = WebhookClient(self.caches)  # a simulation puts its own here before `start`
        self.api: ApiServer
        self.aggregator: Aggregator
        self._trust: Mapping[str, str] = {}
        self._works: Sequence[Callable[[Storage], Coroutine[Any, Any, None]]] = ()
        self._measures: ResourceMetrics
        self._customs: CustomResources
        self._protection: Protection
        self.bootstrap: Bootstrap
        self._follow = asyncio.Event()  # whether `start` has made what `run` runs

    async def load(self) -> None:
        """Read the store."""
        await self.caches.load()

    async def start(self, security: Security) -> None:
        """Serve with these protections, and make the default objects. `run` must be under way."""
        checks = {"ping": lambda: "", "store": self._store_problem}
        plain = Plain(self.discovery, self.openapi, self._figures, checks, {"watch-cache": self._cache_problem})
        for path, page in security.pages.items():
            plain.add(path, page)
        self.addresses.start()
        self._repair = Repair(self.store, self.storage, self.addresses)
        self.metrics.now = asyncio.get_running_loop().time
        fields = FieldManager(self.routes)
        security.admission.extend(
            dynamic(self.caches, Kinds(self.routes), self.webhooks, security.authorizer, fields.schema)
        )
        registry = Registry(self.storage, security.authorizer, fields)
        self.routes.listen(security.admission.forget)
        self._customs = CustomResources(self.routes, self.storage, registry.deletion, self.webhooks)
        self._customs.start()
        backends = Backends(self.caches, security.front_proxy, security.open_)
        self.aggregator = Aggregator(self.storage, self.discovery, self.openapi, backends)
        self.aggregator.start()
        self._trust = security.trust
        self._works = security.works
        reading = Reading(self.store, self.caches)
        self._measures = ResourceMetrics(security.kubelets, reading.listing)
        settings = self.settings
        reading.least_watch = float(settings.flags.min_request_timeout)
        self._protection = Protection(self.storage, self.routes, reading.turns, settings.flags)
        self._protection.install(plain)
        self.api = ApiServer(
            self.routes,
            reading,
            registry,
            authenticator=security.authenticator,
            authorizer=security.authorizer,
            admission=security.admission,
            plain=plain,
            handlers={**security.handlers, **self._handlers(registry, reading), **self._measures.handlers()},
            metrics=self.metrics,
            aggregator=self.aggregator,
            gate=self._protection.gate,
            watches=self._protection.watches,
            timeout=settings.flags.request_timeout,
        )
        self.api.auditor = self.auditor
        self.bootstrap = Bootstrap(
            self.storage,
            address=settings.advertise,
            port=settings.port,
            service_ip=settings.service_ip,
            service_cidr=settings.service_cidr,
        )
        self._follow.set()
        await self.bootstrap.ensure()
        await repair(self.store, self.addresses)
        self._repair.start()
        await self.aggregator.install()

    def _handlers(self, registry: Registry, reading: Reading) -> dict[tuple[str, str], Handler]:
        """What is more than reading and writing an object, apart from security's."""
        pods = self.routes.find("", "v1", "pods")
        if pods is None:
            raise LookupError("the catalog has no pods")
        bindings = Bindings(self.storage)
        return {
            ("bindings", ""): bindings.create,
            ("pods", "binding"): bindings.create,
            ("pods", "eviction"): Evictions(self.storage, registry.deletion, pods).create,
            ("componentstatuses", ""): Components({"etcd-0": self._store_problem}).handle,
            **Scales(self.routes, registry, reading).handlers(),
        }

    def _figures(self) -> Response:
        # Prometheus' library costs 1.5 MB and 15 ms of every start, and is needed when somebody asks.
        from kijabi.apiserver import exposition
        from kijabi.apiserver.flowcontrol.exposition import FlowFigures

        control = self._protection.control
        more = () if control is None else (FlowFigures(control),)
        return exposition.render(self.metrics, self.caches, *more)

    def _store_problem(self) -> str:
        return "the store is closed" if self.caches.ended else ""

    def _cache_problem(self) -> str:
        return "" if self.caches.ready else "not loaded yet"

    async def run(self) -> None:
        """The server's own work, until the store is closed or it is cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                expiry = tasks.create_task(self._expiry.run(), name="event expiry")
                customs = tasks.create_task(self._run_customs(), name="custom resources")
                aggregation = tasks.create_task(self._aggregate(), name="aggregation")
                measures = tasks.create_task(self._measure(), name="resource metrics")
                audit = tasks.create_task(self._audit(), name="audit log")
                protection = tasks.create_task(self._protect(), name="flow control")
                access = tasks.create_task(self._access(), name="access")
                addresses = tasks.create_task(self._mend_addresses(), name="addresses")
                await self.caches.run()
                access.cancel()
                addresses.cancel()
                expiry.cancel()
                aggregation.cancel()
                measures.cancel()
                customs.cancel()
                audit.cancel()
                protection.cancel()
        finally:
            self.webhooks.close()

    async def _access(self) -> None:
        """What authentication and authorisation do beside requests."""
        await self._follow.wait()
        async with asyncio.TaskGroup() as tasks:
            for work in self._works:
                tasks.create_task(work(self.storage), name="access")

    async def _mend_addresses(self) -> None:
        await self._follow.wait()
        await self._repair.run()

    async def _run_customs(self) -> None:
        await self._follow.wait()
        await self._customs.run()

    async def _aggregate(self) -> None:
        await self._follow.wait()
        await self.aggregator.run(self._trust)

    async def _audit(self) -> None:
        if self.auditor is not None:
            await self.auditor.run()

    async def _protect(self) -> None:
        await self._follow.wait()
        await self._protection.run(self.bootstrap.place)

    async def _measure(self) -> None:
        await self._follow.wait()
        await self._measures.run()


def tune_memory() -> None:
    """Objects are shared trees without cycles: let the garbage collector look seldom, and not at what is there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
