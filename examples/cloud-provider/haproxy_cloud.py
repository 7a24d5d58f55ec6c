"""A cloud provider for kijabi: each LoadBalancer Service becomes a file that HAProxy reads, on a machine of its own."""

import json
from collections.abc import Sequence
from pathlib import Path

from kijabi.api.core.node import Node
from kijabi.api.core.service import LoadBalancerIngress, LoadBalancerStatus, Service
from kijabi.controllers.cloud.interface import CloudError, LoadBalancers, Site


class HaProxy(LoadBalancers):
    def __init__(self, directory: Path, addresses: list[str]) -> None:
        self.directory, self.addresses = directory, addresses

    def _file(self, service: Service) -> Path:
        return self.directory / f"{service.metadata.uid}.cfg"

    async def get(self, service: Service) -> LoadBalancerStatus | None:
        file = self._file(service)
        return _status(_address(file)) if file.exists() else None

    async def ensure(self, service: Service, nodes: Sequence[Node]) -> LoadBalancerStatus:
        now = await self.get(service)
        taken = {_address(file) for file in self.directory.glob("*.cfg")}
        address = now.ingress[0].ip if now else next((a for a in self.addresses if a not in taken), None)
        if address is None:
            raise CloudError("no address of HAProxy is left")
        lines = [f"# {address} for {service.metadata.namespace}/{service.metadata.name}"]
        for port in service.spec.ports:
            lines += [f"listen {service.metadata.uid}-{port.port}", f"  bind {address}:{port.port}", "  mode tcp"]
            for node in nodes:
                ip = next((one.address for one in node.status.addresses if one.type == "InternalIP"), "")
                lines.append(f"  server {node.metadata.name} {ip}:{port.nodePort} check")
        self._file(service).write_text("\n".join(lines) + "\n")
        return _status(address)

    async def update(self, service: Service, nodes: Sequence[Node]) -> None:
        await self.ensure(service, nodes)

    async def delete(self, service: Service) -> None:
        self._file(service).unlink(missing_ok=True)


def _address(file: Path) -> str:
    return file.read_text().split()[1]


def _status(address: str) -> LoadBalancerStatus:
    return LoadBalancerStatus(ingress=(LoadBalancerIngress(ip=address, ipMode="Proxy"),))


class Provider:
    name = "haproxy"
    instances = routes = None
    controllers = ()

    def __init__(self, site: Site) -> None:
        settings = json.loads(site.config)
        self.load_balancers = HaProxy(Path(settings["directory"]), settings["addresses"])
