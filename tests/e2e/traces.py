"""What a cluster can leave on a machine: processes, mounts, namespaces, links, nftables, cgroups, routes, files.

Other clusters may start and stop on the machine meanwhile: what bears the mark of another one (its directory, its hash
in a name, its bridge) is not counted.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from kijabi.cmd.config import ClusterConfig
from kijabi.kubelet.runtime import cni


class Traces(NamedTuple):
    """A machine at one moment, as far as the cluster in one directory touches it."""

    processes: frozenset[str]
    mounts: frozenset[str]
    netns: frozenset[str]
    links: frozenset[str]
    rules: frozenset[str]
    cgroups: frozenset[str]
    routes: frozenset[str]
    files: frozenset[str]

    @classmethod
    def of_machine(cls, directory: Path) -> Traces:
        marks = {str(directory), ClusterConfig(dir=str(directory)).hash}
        links = json.loads(_out("ip", "-j", "link", "show"))
        own = {link["ifname"] for link in links if not _foreign_link(link, marks)}
        routes = [line for line in _lines("ip", "route", "show") if not (dev := _device(line)) or dev in own]
        return cls(
            processes=frozenset(text for text in _processes() if _mine(text, marks)),
            mounts=frozenset(line.split()[1] for line in _file("/proc/mounts") if _mine(line, marks)),
            netns=frozenset(line for line in _lines("ip", "netns", "list") if _mine(line, marks)),
            links=frozenset(own),
            rules=frozenset(line for line in _rules() if _mine(line, marks)),
            cgroups=frozenset(path for path in _kijabi_cgroups() if _mine(path, marks)),
            routes=frozenset(routes),
            files=frozenset(path for path in _files() if _mine(path, marks)),
        )

    def __sub__(self, other: Traces) -> dict[str, set[str]]:
        """What is here and was not there, by kind; kinds without a difference are left out."""
        pairs = zip(self._fields, self, other, strict=True)
        return {kind: set(mine - theirs) for kind, mine, theirs in pairs if mine - theirs}


def _mine(text: str, marks: set[str]) -> bool:
    """Whether it bears one of our marks, or no other cluster's."""
    clusters = r"kijabi[-/][0-9a-f-]{8}|--data-dir|/run/kijabi/|/nodes/[^/]+/(pods|containerd)"
    foreign = rf"{clusters}|kijabi-e2e-|kijabi-test|pytest-of"
    return any(mark in text for mark in marks) or not re.search(foreign, text)


def _foreign_link(link: dict[str, Any], marks: set[str]) -> bool:
    """Whether a link is, or hangs on, a bridge of another cluster's pods or nodes."""
    bridge = str(link.get("master") or link["ifname"])
    own = {cni.network(mark, f"node-{n}", "10.0.0.0/24", Path()).bridge for mark in marks for n in range(1, 9)}
    return bool(re.match("ki[jn]", bridge)) and bridge not in own and not any(mark in bridge for mark in marks)


def _device(route: str) -> str:
    found = re.search(r"\bdev (\S+)", route)
    return found.group(1) if found else ""


def _rules() -> list[str]:
    """nftables tables, and the host-port chains of CNI's portmap; iptables' own tables are the system's."""
    tables = [line for line in _lines("nft", "list", "tables") if "kijabi" in line]
    chains = [line.strip() for line in _lines("nft", "list", "chains", "ip")]
    return [*tables, *(line for line in chains if re.search(r"chain CNI-(DN|SN|HP)-", line))]


def _kijabi_cgroups() -> list[str]:
    root = Path("/sys/fs/cgroup")
    return [str(path) for pattern in ("kijabi*", "*/kijabi*") for path in root.glob(pattern)]


def _files() -> list[str]:
    """State that CNI and containerd keep outside a cluster's own directory."""
    places = ("/var/lib/cni/*/*", "/var/lib/cni/*/*/*", "/run/containerd/*", "/run/netns/*", "/run/kijabi/*/*")
    found = [str(path) for place in places for path in Path("/").glob(place[1:])]
    living = set(re.findall(r"[0-9a-f]{64}", "".join(_processes())))  # sandboxes, by their shims
    return [path for path in found if not living & set(re.findall(r"[0-9a-f]{64}", path))]


def _processes() -> list[str]:
    """Command lines of containerd, its shims and our components; others come and go on a machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "-m kijabi.cmd" in words or ("containerd" in words and "/run/kijabi/" in words):
            found.append(words)
    return found


def _file(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _out(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _lines(*command: str) -> list[str]:
    return _out(*command).splitlines()
