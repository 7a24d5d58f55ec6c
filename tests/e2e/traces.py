"""What a cluster can leave on a machine: processes, mounts, namespaces, links, nftables, cgroups, routes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Traces(NamedTuple):
    """A machine at one moment, as far as clusters touch it."""

    processes: frozenset[str]
    mounts: frozenset[str]
    netns: frozenset[str]
    links: frozenset[str]
    tables: frozenset[str]
    cgroups: frozenset[str]
    routes: frozenset[str]

    @classmethod
    def of_machine(cls) -> Traces:
        return cls(
            processes=frozenset(_processes()),
            mounts=frozenset(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
            netns=frozenset(_lines("ip", "netns", "list")),
            links=frozenset(line.split(":")[1].strip() for line in _lines("ip", "-o", "link", "show")),
            tables=frozenset(_lines("nft", "list", "tables")) - {"table ip nat", "table ip filter"},
            cgroups=frozenset(str(path) for path in Path("/sys/fs/cgroup").glob("*/kijabi*")),
            routes=frozenset(_lines("ip", "route", "show")),
        )

    def __sub__(self, other: Traces) -> dict[str, set[str]]:
        """What is here and was not there, by kind; kinds without a difference are left out."""
        pairs = zip(self._fields, self, other, strict=True)
        return {kind: set(mine - theirs) for kind, mine, theirs in pairs if mine - theirs}


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _processes() -> list[str]:
    """Command lines of containerd, its shims and our components; others come and go on a machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "containerd" in words or "kijabi.cmd" in words:
            found.append(words)
    return found
