"""The fields of a Service that hang together: which ones its type needs, and what an update keeps or drops.

Pure; `addresses.py` calls these around allocation. They spare clients the read-modify-write of what the server
allocated (k8s.io/kubernetes `pkg/registry/core/service`).
"""

from __future__ import annotations

from msgspec.structs import replace

from kijabi.api.core.service import LoadBalancerStatus, Service


def needs_node_port(service: Service) -> bool:
    """Whether its ports are open on nodes."""
    return service.spec.type in ("NodePort", "LoadBalancer")


def needs_health_port(service: Service) -> bool:
    """Whether a load balancer asks the nodes whether they have endpoints."""
    return service.spec.type == "LoadBalancer" and service.spec.externalTrafficPolicy == "Local"


def cluster_ips(service: Service) -> tuple[str, ...]:
    """The addresses that it holds: none if it is headless or a name only."""
    spec = service.spec
    if spec.type == "ExternalName" or spec.clusterIP == "None":
        return ()
    return spec.clusterIPs or ((spec.clusterIP,) if spec.clusterIP else ())


def node_ports(service: Service) -> tuple[int, ...]:
    """The node ports that it holds."""
    ports = [port.nodePort for port in service.spec.ports if port.nodePort] if needs_node_port(service) else []
    if needs_health_port(service) and service.spec.healthCheckNodePort:
        ports.append(service.spec.healthCheckNodePort)
    return tuple(dict.fromkeys(ports))


def carry_over(new: Service, old: Service) -> None:
    """Keep what was allocated and the client left out."""
    spec, before = new.spec, old.spec
    if spec.type != "ExternalName" and before.type != "ExternalName":
        spec.clusterIP = spec.clusterIP or before.clusterIP
        if not spec.clusterIPs and spec.clusterIP == before.clusterIP:
            spec.clusterIPs = before.clusterIPs
    if needs_node_port(new) and needs_node_port(old):
        mine = {port.nodePort for port in spec.ports if port.nodePort}
        used = mine & {port.nodePort for port in before.ports if port.nodePort}
        by_name = {port.name: port.nodePort for port in before.ports}
        for port in spec.ports:
            known = by_name.get(port.name, 0)
            if not port.nodePort and known and known not in used:
                port.nodePort = known
                used.add(known)
    if needs_health_port(new) and needs_health_port(old):
        spec.healthCheckNodePort = spec.healthCheckNodePort or before.healthCheckNodePort


def pair_addresses(new: Service, old: Service | None) -> None:
    """Keep clusterIP and clusterIPs in step for clients that know only the first."""
    spec = new.spec
    if old is None:
        if spec.clusterIP and not spec.clusterIPs:
            spec.clusterIPs = (spec.clusterIP,)
        return
    before = old.spec
    if before.clusterIPs and not spec.clusterIPs and before.clusterIP == spec.clusterIP:
        spec.clusterIPs = before.clusterIPs
    if before.clusterIP != spec.clusterIP and spec.clusterIPs == before.clusterIPs:
        spec.clusterIPs = (spec.clusterIP,) if spec.clusterIP else ()


def drop_unneeded(new: Service, old: Service) -> None:
    """Wipe what the old type needed, the new one does not, and the client did not touch."""
    spec, before = new.spec, old.spec
    if before.type != "ExternalName" and spec.type == "ExternalName":
        if (spec.clusterIP, spec.clusterIPs) == (before.clusterIP, before.clusterIPs):
            spec.clusterIP, spec.clusterIPs = "", ()
        if spec.ipFamilies == before.ipFamilies:
            spec.ipFamilies = ()
        if spec.ipFamilyPolicy == before.ipFamilyPolicy:
            spec.ipFamilyPolicy = None
    if needs_node_port(old) and not needs_node_port(new):
        known = {port.nodePort for port in before.ports}
        if all(port.nodePort in known for port in spec.ports if port.nodePort):
            for port in spec.ports:
                port.nodePort = 0
    dropped = needs_health_port(old) and not needs_health_port(new)
    if dropped and spec.healthCheckNodePort == before.healthCheckNodePort:
        spec.healthCheckNodePort = 0
    if before.type == "LoadBalancer" and spec.type != "LoadBalancer":
        if spec.allocateLoadBalancerNodePorts == before.allocateLoadBalancerNodePorts:
            spec.allocateLoadBalancerNodePorts = None
        if spec.loadBalancerClass == before.loadBalancerClass:
            spec.loadBalancerClass = None
    if _outside(old) and not _outside(new) and spec.externalTrafficPolicy == before.externalTrafficPolicy:
        spec.externalTrafficPolicy = ""
    if spec.type != "LoadBalancer":
        new.status = replace(new.status, loadBalancer=LoadBalancerStatus())  # it may be that of the served object


def _outside(service: Service) -> bool:
    """Whether it can be reached from outside of the cluster."""
    spec = service.spec
    return needs_node_port(service) or (spec.type == "ClusterIP" and bool(spec.externalIPs))
