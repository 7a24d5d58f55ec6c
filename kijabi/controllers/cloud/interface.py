"""What a cloud provider is: a factory that is given a `Site` and makes a `Provider`, whose parts the controllers call.

A provider has those of `Instances`, `LoadBalancers` and `Routes` that its cloud has, None for the others
(k8s.io/cloud-provider, `cloud.go`; of Instances the second version, as external providers have it). Every method is
a coroutine that runs in the process of all controllers: what blocks belongs into a thread. Failures are raised as
`CloudError`, and are tried again with back-off; nothing else that a provider raises is expected.

    class Mine:                              # entry point: [project.entry-points."kijabi.cloud_providers"]
        name = "mine"                        #              mine = "my_package:Mine"
        routes = instances = None
        controllers = ()

        def __init__(self, site: Site) -> None:
            self.load_balancers = MyBalancers(site.config)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeAddress
from kijabi.api.core.service import LoadBalancerStatus, Service
from kijabi.base.errors import KijabiError
from kijabi.controllers.runtime import Context, Controller, Source


class CloudError(KijabiError):
    """The cloud refused, failed or did not answer; the text is shown to users in events."""


class RetryAfter(CloudError):
    """Not done yet: the cloud wants to be asked again after so many seconds, instead of with back-off."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ImplementedElsewhere(CloudError):
    """This Service's load balancer is the affair of another controller: nothing is to be done or said here."""


class InstanceMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a cloud knows about a node's machine; what is empty is not written.

    provider_id: `<provider>://<instance>`, never changed once written. labels: more of them, outside of kubernetes.io.
    """

    provider_id: str = ""
    instance_type: str = ""
    addresses: tuple[NodeAddress, ...] = ()
    zone: str = ""
    region: str = ""
    labels: Mapping[str, str] = {}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Packets for `destination` (a CIDR) go to a node.

    name: the cloud's own, empty in a request. addresses: where the node is reached; None from a cloud that does not
    say, whose routes are then not made anew when a node's addresses change. blackhole: leads nowhere any more.
    """

    destination: str
    node: str
    name: str = ""
    addresses: tuple[NodeAddress, ...] | None = None
    blackhole: bool = False


class Instances(Protocol):
    """Facts about machines, found by `spec.providerID`, or by the node's name where that is empty.

    The lifecycle: `metadata` when a node has registered, and again every few minutes for its addresses; `exists`, and
    then `is_shut_down`, from time to time while a node is not ready.
    """

    async def metadata(self, node: Node) -> InstanceMetadata | None:
        """What is known about the node's machine; None leaves the node as it is, to wait for a change of it."""
        ...

    async def exists(self, node: Node) -> bool:
        """Whether there is such a machine, running or not. The Node of one that does not exist is deleted."""
        ...

    async def is_shut_down(self, node: Node) -> bool:
        """Whether the machine is there and switched off: its pods may be taken to other nodes at once."""
        ...


class LoadBalancers(Protocol):
    """Load balancers, one for each Service of type LoadBalancer that names no class.

    The lifecycle: `ensure` when the Service comes, when it changes, and once more after every start of the
    controllers; `update` when only the set of nodes has changed; `delete` when the Service is deleted or wants none any
    more, and nobody says before that it was the last time. All must come out right when they are repeated, and must not
    change what they are given. A finalizer holds the Service back until `delete` has returned.
    """

    async def get(self, service: Service) -> LoadBalancerStatus | None:
        """What there is for the Service, or None."""
        ...

    async def ensure(self, service: Service, nodes: Sequence[Node]) -> LoadBalancerStatus:
        """Make it as the Service says, before these nodes; where it can be reached."""
        ...

    async def update(self, service: Service, nodes: Sequence[Node]) -> None:
        """Bring it before these nodes."""
        ...

    async def delete(self, service: Service) -> None:
        """Remove it; none is as good. What is left of one that was half made is removed as well."""
        ...

    def sources(self) -> Sequence[Source]:
        """What else makes `ensure` worth calling, for the Services with these keys; as a rule nothing."""
        return ()


class Routes(Protocol):
    """Routes in the cloud's network to the pods of each node.

    The lifecycle: `list` when nodes come, go or change their addresses; then `delete` for those that are wrong, and
    `create` for those that lack.
    """

    async def list(self) -> Sequence[Route]:
        """All routes of this cluster."""
        ...

    async def create(self, route: Route, hint: str) -> None:
        """Make one. hint: something unique that a name may be made of."""
        ...

    async def delete(self, route: Route) -> None:
        """Remove one, as `list` gave it; none is as good."""
        ...


class Provider(Protocol):
    """One cloud. controllers: more that it brings itself, run beside those here."""

    name: str

    @property
    def instances(self) -> Instances | None: ...
    @property
    def load_balancers(self) -> LoadBalancers | None: ...
    @property
    def routes(self) -> Routes | None: ...
    @property
    def controllers(self) -> Sequence[Callable[[Context], Controller]]: ...


@dataclass(frozen=True, slots=True)
class Site:
    """What a provider is made from.

    config: the text of the file of `--cloud-config`, empty without one. cluster: the cluster's name, to tell apart what
    belongs to several in one cloud. context: the client, informers and settings of the controllers.
    """

    config: str
    cluster: str
    context: Context


Factory = Callable[[Site], Provider]
