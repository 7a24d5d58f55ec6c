"""What goes into a pod's resolv.conf, by its dnsPolicy and dnsConfig; and its managed /etc/hosts.

Pure, called by `configs.py`. Rules and limits are those of "DNS for Services and Pods" and of
k8s.io/kubernetes `pkg/kubelet/network/dns`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kijabi.api.core.pod import HostAlias, Pod

MAX_SERVERS, MAX_SEARCHES, MAX_SEARCH_CHARS, MAX_SEARCH_LENGTH = 3, 32, 2048, 253
HOSTNAME_LIMIT = 63


class Resolver(msgspec.Struct, frozen=True):
    """The three parts of a resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> Resolver:
    """Read the node's own resolv.conf; the last search line counts, options merge by name."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: dict[str, str] = {}
    for line in text.splitlines():
        fields = line.split()
        if not fields or fields[0].startswith(("#", ";")):
            continue
        if fields[0] == "nameserver" and len(fields) > 1:
            servers.append(fields[1])
        elif fields[0] == "search":
            searches = tuple(name.removesuffix(".") for name in fields[1:] if name != ".")
        elif fields[0] == "options":
            options |= {option.partition(":")[0]: option for option in fields[1:]}
    return Resolver(tuple(servers), searches, tuple(options.values()))


def resolver(pod: Pod, host: Resolver, cluster_dns: tuple[str, ...], domain: str) -> tuple[Resolver, tuple[str, ...]]:
    """The pod's resolver, and warnings about what the limits cut off (event DNSConfigForming).

    host: the node's resolver, used by `Default` and, without a cluster DNS, by all but `None`.
    """
    policy = pod.spec.dnsPolicy or "ClusterFirst"
    if policy == "ClusterFirst" and pod.spec.hostNetwork:
        policy = "Default"
    if policy == "None":
        made = Resolver()
    elif policy == "Default" or not cluster_dns:
        made = host
    else:
        own: tuple[str, ...] = ()
        if domain:
            own = (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain)
        made = Resolver(cluster_dns, _unique((*own, *host.searches)), ("ndots:5",))
    extra = pod.spec.dnsConfig
    if extra is not None:
        options = {option.partition(":")[0]: option for option in made.options}
        options |= {o.name: f"{o.name}:{o.value}" if o.value else o.name for o in extra.options}
        made = Resolver(
            _unique((*made.servers, *extra.nameservers)),
            _unique((*made.searches, *extra.searches)),
            tuple(options.values()),
        )
    return _within_limits(made)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _within_limits(made: Resolver) -> tuple[Resolver, tuple[str, ...]]:
    warnings = []
    servers = made.servers
    if len(servers) > MAX_SERVERS:
        servers = servers[:MAX_SERVERS]
        warnings.append(
            "Nameserver limits were exceeded, some nameservers have been omitted, "
            f"the applied nameserver line is: {' '.join(servers)}"
        )
    searches = tuple(name for name in made.searches[:MAX_SEARCHES] if len(name) <= MAX_SEARCH_LENGTH)
    while len(" ".join(searches)) > MAX_SEARCH_CHARS:
        searches = searches[:-1]
    if searches != made.searches:
        warnings.append(
            "Search Line limits were exceeded, some search paths have been omitted, "
            f"the applied search line is: {' '.join(searches)}"
        )
    return Resolver(servers, searches, made.options), tuple(warnings)


def host_name(pod: Pod, domain: str) -> tuple[str, str]:
    """The pod's host name, cut to 63 characters, and its domain ("" without a subdomain)."""
    spec, meta = pod.spec, pod.metadata
    if spec.hostnameOverride is not None:
        return spec.hostnameOverride[:HOSTNAME_LIMIT].rstrip("-."), ""
    name = (spec.hostname or meta.name)[:HOSTNAME_LIMIT].rstrip("-.")
    return name, f"{spec.subdomain}.{meta.namespace}.svc.{domain}" if spec.subdomain else ""


def sandbox_hostname(pod: Pod, domain: str) -> str:
    """The kernel's host name of the pod: the full name with setHostnameAsFQDN, else the short one."""
    name, full = host_name(pod, domain)
    return f"{name}.{full}" if pod.spec.setHostnameAsFQDN and full else name


def hosts_file(pod: Pod, ips: tuple[str, ...], domain: str, node_hosts: str) -> str:
    """The content of /etc/hosts. node_hosts: the node's own file, which hostNetwork pods get."""
    if pod.spec.hostNetwork:
        head = "# Kubernetes-managed hosts file (host network).\n" + node_hosts
        return head + _aliases(pod.spec.hostAliases)
    name, full = host_name(pod, domain)
    names = f"{name}.{full}\t{name}" if full else name
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
        *(f"{ip}\t{names}" for ip in ips),
    ]
    return "\n".join(lines) + "\n" + _aliases(pod.spec.hostAliases)


def _aliases(aliases: Iterable[HostAlias]) -> str:
    lines = ["\t".join((alias.ip, *alias.hostnames)) + "\n" for alias in aliases]
    return "\n# Entries added by HostAliases.\n" + "".join(lines) if lines else ""
