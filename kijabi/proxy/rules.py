"""Frontends as an nftables ruleset, and the script that turns one ruleset into the next: pure, golden-tested.

Maps, not chains: one map leads from (address, protocol, port) to a chain by the number of backends, one from
(address, protocol, port, index) to the backend, so ten thousand Services load in under a second and a change touches
its own elements only. Only Services with session affinity have chains of their own, with a set per backend that
remembers clients. `loop` makes a Ruleset of all frontends; `nft` applies the script.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from kijabi.proxy.services import ANYWHERE, Backend, Frontend

MARK = "0x4000"  # this connection is to be masqueraded
SET_MARK = f"meta mark set meta mark or {MARK}"
BATCH = 1000  # elements in one statement
FEWEST_PICKS = 16
INSIDE = 32768  # the first index of the backends for those inside, in the same maps


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """table: the nftables table, one per cluster and node. pod_cidr: all pods. node_cidr: other nodes, or "".

    bridge, bridge_mac: of the network between nodes on one machine, where this proxy's node has that bridge.
    """

    table: str
    pod_cidr: str
    service_cidr: str
    node_cidr: str = ""
    bridge: str = ""
    bridge_mac: str = ""


class Ruleset(msgspec.Struct, frozen=True):
    """What is in the table besides its frame. Maps and sets by name: element → value ("" in a set).

    chains: name → rules, and sets: names, for session affinity. picks: the most backends that a frontend has,
    rounded up to a power of two: the frame must have been made for at least as many.
    """

    elements: Mapping[str, Mapping[str, str]]
    chains: Mapping[str, tuple[str, ...]]
    sets: tuple[str, ...] = ()
    picks: int = FEWEST_PICKS


EMPTY = Ruleset({}, {})


def frame(config: ProxyConfig, picks: int = FEWEST_PICKS) -> str:
    """The fixed part: hooks, maps, sets, and the chains that pick one of 1 to `picks` backends.

    It replaces whatever the table held, in one transaction. The picking chains belong here because nft 1.0.6 cannot
    add a rule that looks up a map which is in the kernel already (`conflicting protocols specified: tcp vs. th`).
    """
    chains = "\n".join(
        f"  chain {_pick(kind, count, way)} {{ {_pick_rules(kind, count, way)}; }}"
        for kind in ("address", "port")
        for way in ("", "-masq", "-inside")
        for count in range(1, picks + 1)
    )
    return f"""table ip {config.table}
delete table ip {config.table}
table ip {config.table} {{
  map address-backends {{ typeof ip daddr . meta l4proto . th dport . numgen random mod 65536 : ip daddr . th dport; }}
  map address-services {{ typeof ip daddr . meta l4proto . th dport : verdict; }}
  map port-backends {{ typeof meta l4proto . th dport . numgen random mod 65536 : ip daddr . th dport; }}
  map port-services {{ typeof meta l4proto . th dport : verdict; }}
  map address-inside {{ typeof ip daddr . meta l4proto . th dport : verdict; }}
  map port-inside {{ typeof meta l4proto . th dport : verdict; }}
  map address-guarded {{ typeof ip daddr . meta l4proto . th dport : verdict; }}
  set whole {{ typeof ip daddr; }}
  map address-refused {{ typeof ip daddr . meta l4proto . th dport : verdict; }}
  map port-refused {{ typeof meta l4proto . th dport : verdict; }}
  set hairpin {{ typeof ip saddr . ip daddr; }}
  chain inside {{
    ip daddr . meta l4proto . th dport vmap @address-inside
    fib daddr type local meta l4proto . th dport vmap @port-inside
  }}
  chain guards {{
    ct state new ip daddr . meta l4proto . th dport vmap @address-guarded
  }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @address-services
    fib daddr type local meta l4proto . th dport vmap @port-services
  }}
  chain refusals {{
    ct state new ip daddr . meta l4proto . th dport vmap @address-refused
    ct state new fib daddr type local meta l4proto . th dport vmap @port-refused
    ct state new ip daddr {config.service_cidr} goto refuse
    ct state new ip daddr @whole goto refuse
  }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp type port-unreachable
  }}
{chains}
{_hooks(config)}}}
"""


def _hooks(config: ProxyConfig) -> str:
    """Where packets come in. Guards look at the address before it is translated."""
    inside = ", ".join(filter(None, (config.pod_cidr, config.node_cidr)))
    # Hairpins are translated connections only: conntrack, waking with this table, takes the next packet of a connection
    # from the node to its own API server for a new one, and to masquerade that would be its silent end.
    # The nodes in namespaces reach the world through the machine, whose proxy lends them its address.
    sources = f"{{ {inside} }}" if config.node_cidr else inside
    # The kernel shows us what only crosses the bridge from one neighbour to another, too: not this node's affair.
    passing = f'iifname "{config.bridge}" ether daddr != {config.bridge_mac} accept;' if config.bridge else ""
    return f"""  chain guard-prerouting {{ type filter hook prerouting priority dstnat - 10; {passing} jump guards; }}
  chain guard-output {{ type filter hook output priority -110; jump guards; }}
  chain nat-prerouting {{
    type nat hook prerouting priority dstnat; {passing}
    ip saddr {config.pod_cidr} jump inside
    jump services
  }}
  chain nat-output {{ type nat hook output priority -100; jump inside; jump services; }}
  chain nat-postrouting {{
    type nat hook postrouting priority srcnat;
    meta mark & {MARK} == {MARK} masquerade
    ct status dnat ip saddr 127.0.0.0/8 masquerade
    ct status dnat ip saddr . ip daddr @hairpin masquerade
    ip saddr {sources} ip daddr != {{ {inside}, 224.0.0.0/4 }} masquerade
  }}
  chain filter-input {{ type filter hook input priority filter; jump refusals; }}
  chain filter-forward {{ type filter hook forward priority filter; {passing} jump refusals; }}
  chain filter-output {{ type filter hook output priority filter; jump refusals; }}
"""


def ruleset(frontends: Iterable[Frontend]) -> Ruleset:
    """What the table must hold for these frontends. The first frontend of an address and port wins."""
    elements: dict[str, dict[str, str]] = {name: {} for name in _MAPS}
    chains: dict[str, tuple[str, ...]] = {}
    sets: list[str] = []
    picks = FEWEST_PICKS
    for frontend in frontends:
        kind = "port" if frontend.address == ANYWHERE else "address"
        key = _key(frontend)
        if key in elements[f"{kind}-services"] or key in elements[f"{kind}-refused"]:
            continue
        if frontend.whole:
            elements["whole"][frontend.address] = ""
        if frontend.sources:
            name = f"guard-{_digest(','.join(frontend.sources))}"
            chains[name] = (f"ip saddr {{ {', '.join(frontend.sources)} }} return", "drop")
            elements["address-guarded"][key] = f"goto {name}"
        for way, backends in (
            ("-inside", frontend.inside),
            ("-masq" if frontend.masquerade else "", frontend.backends),
        ):
            if not backends:
                continue
            while picks < len(backends):
                picks *= 2
            for backend in backends:
                elements["hairpin"][f"{backend.address} . {backend.address}"] = ""
            if frontend.sticky:
                name, own_chains, own_sets = _sticky(frontend, way, backends)
                chains.update(own_chains)
                sets += own_sets
            else:
                name = _pick(kind, len(backends), way)
                first = INSIDE if way == "-inside" else 0
                for index, backend in enumerate(backends, first):
                    elements[f"{kind}-backends"][f"{key} . {index}"] = f"{backend.address} . {backend.port}"
            elements[f"{kind}-inside" if way == "-inside" else f"{kind}-services"][key] = f"goto {name}"
        if not frontend.backends:
            elements[f"{kind}-refused"][key] = "drop" if frontend.refuse == "drop" else "goto refuse"
    return Ruleset(elements, chains, tuple(sets), picks)


_MAPS = (
    "address-backends",
    "address-services",
    "port-backends",
    "port-services",
    "address-inside",
    "port-inside",
    "address-guarded",
    "whole",
    "address-refused",
    "port-refused",
    "hairpin",
)


def _key(frontend: Frontend) -> str:
    port = f"{frontend.protocol} . {frontend.port}"
    return port if frontend.address == ANYWHERE else f"{frontend.address} . {port}"


def _pick(kind: str, count: int, way: str) -> str:
    return f"{kind}-pick-{count}{way}"


def _pick_rules(kind: str, count: int, way: str) -> str:
    """Any of `count` backends at random; the index is part of the key of the backends map."""
    what = "meta l4proto . th dport" if kind == "port" else "ip daddr . meta l4proto . th dport"
    mark = f"{SET_MARK}; " if way == "-masq" else ""
    offset = f" offset {INSIDE}" if way == "-inside" else ""
    choice = f"dnat ip to {what} . numgen random mod {count}{offset} map @{kind}-backends"
    return f"{mark}meta l4proto {{ tcp, udp, sctp }} {choice}"


def _sticky(
    frontend: Frontend, way: str, backends: Iterable[Backend]
) -> tuple[str, dict[str, tuple[str, ...]], list[str]]:
    """A chain that sends a client where it went before, a chain and a set of clients per backend."""
    name = f"sticky-{_digest(_key(frontend) + ('' if way == '-masq' else way))}"
    chains: dict[str, tuple[str, ...]] = {}
    sets: list[str] = []
    known: list[str] = []
    for backend in backends:
        own = f"{name}-{_digest(f'{backend.address}:{backend.port}')}"
        sets.append(own)
        known.append(f"ip saddr @{own} goto {own}")
        chains[own] = (
            f"update @{own} {{ ip saddr timeout {frontend.sticky}s }}",
            f"meta l4proto {frontend.protocol} dnat ip to {backend.address}:{backend.port}",
        )
    choices = ", ".join(f"{i} : goto {own}" for i, own in enumerate(sets))
    mark = (SET_MARK,) if way == "-masq" else ()
    chains[name] = (*mark, *known, f"numgen random mod {len(sets)} vmap {{ {choices} }}")
    return name, chains, sets


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def script(config: ProxyConfig, old: Ruleset, new: Ruleset) -> str:
    """The nft commands that turn a table with `old` into one with `new`; empty if they are the same.

    Order matters inside the one transaction: what refers to a chain or set is removed before it and added after it.
    """
    table = f"ip {config.table}"
    out: list[str] = []
    gone_sets = sorted(set(old.sets) - set(new.sets))
    for name in _MAPS:
        before, after = old.elements.get(name, {}), new.elements.get(name, {})
        stale = [key for key, value in before.items() if after.get(key) != value]
        out += _statements("delete", f"{table} {name}", stale)
    out += [f"add set {table} {name} {{ type ipv4_addr; flags dynamic, timeout; size 65536; }}"
            for name in new.sets if name not in old.sets]  # fmt: skip
    changed = {name: rules for name, rules in new.chains.items() if old.chains.get(name) != rules}
    gone = [name for name in old.chains if name not in new.chains]
    out += [f"add chain {table} {name}" for name in changed]
    out += [f"flush chain {table} {name}" for name in (*changed, *gone)]
    out += [f"add rule {table} {name} {rule}" for name, rules in changed.items() for rule in rules]
    out += [f"delete chain {table} {name}" for name in gone]
    out += [f"delete set {table} {name}" for name in gone_sets]
    for name in _MAPS:
        before, after = old.elements.get(name, {}), new.elements.get(name, {})
        fresh = [f"{key} : {value}" if value else key for key, value in after.items() if before.get(key) != value]
        out += _statements("add", f"{table} {name}", fresh)
    return "".join(f"{line}\n" for line in out)


def _statements(verb: str, where: str, items: list[str]) -> list[str]:
    return [f"{verb} element {where} {{ {', '.join(items[i : i + BATCH])} }}" for i in range(0, len(items), BATCH)]


def lost_udp(old: Iterable[Frontend], new: Iterable[Frontend]) -> list[tuple[Frontend, Backend | None]]:
    """UDP flows to forget: (frontend, backend that is gone), or (frontend, None) where one got its first backend.

    A UDP flow lives in conntrack for as long as packets come, so a client would talk to a dead backend for ever.
    """
    after = {f.key: f for f in new if f.protocol == "udp"}
    before = {f.key: f for f in old if f.protocol == "udp"}
    lost: list[tuple[Frontend, Backend | None]] = []
    for key, frontend in before.items():
        now = after.get(key)
        stays = _all_backends(now) if now is not None else set()
        lost += [(frontend, backend) for backend in sorted(_all_backends(frontend) - stays)]
    for key, frontend in after.items():
        was = before.get(key)
        if _all_backends(frontend) and (was is None or not _all_backends(was)):
            lost.append((frontend, None))
    return lost


def _all_backends(frontend: Frontend) -> set[Backend]:
    return {*frontend.backends, *frontend.inside}
