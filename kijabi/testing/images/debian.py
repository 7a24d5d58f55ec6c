"""Debian packages as raw material: which ones a program needs, fetched without installing, unpacked into a directory.

`build.py` calls it. Only the archive that this machine is configured for is asked, through apt.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from kijabi.base.errors import ConfigError

# Needed by install scripts, which never run here, or by init systems, which a container has none of.
UNNEEDED = re.compile(
    r"^(adduser|base-files|busybox|cdebconf|debconf.*|dpkg|gcc-\d+-base|init-system-helpers|iproute2|libnginx-mod.*"
    r"|lsb-base|mailcap|passwd|perl.*|python3?-?:any|sensible-utils|sysvinit-utils|systemd.*|ucf)$"
)
MAX_PACKAGES = 200  # of one image; more means that a dependency leads into the whole system


LISTS = Path("/var/lib/apt/lists")


def require() -> None:
    """Raise ConfigError unless this is a machine with apt; brings apt's lists where there are none yet."""
    missing = [tool for tool in ("apt-get", "apt-cache", "dpkg-deb", "tar", "ldconfig") if not _which(tool)]
    if missing:
        raise ConfigError(f"images are made of Debian packages; this machine lacks {', '.join(missing)}")
    if not any(LISTS.glob("*_Packages*")):
        _update()


def _update() -> None:
    subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)  # what fails shows at the download


def closure(packages: Iterable[str]) -> tuple[str, ...]:
    """The packages and all that they depend on, sorted; raises ConfigError for one that apt does not know."""
    # one question for the whole graph: each run of apt-cache reads all of its lists
    graph = parse_dependencies(_run("apt-cache", "depends", "--recurse", "--important", *sorted(packages)))
    found: set[str] = set()
    wanted = set(packages)
    while wanted:
        unknown = wanted - graph.keys()
        if unknown:
            raise ConfigError(f"apt knows no package {', '.join(sorted(unknown))}: run apt-get update")
        found |= wanted
        wanted = {name for known in wanted for name in graph[known] if not UNNEEDED.match(name)} - found
        if len(found) > MAX_PACKAGES:
            raise ConfigError(f"more than {MAX_PACKAGES} packages: {', '.join(sorted(found)[:20])} …")
    return tuple(sorted(found))


def parse_dependencies(text: str) -> dict[str, list[str]]:
    """The output of `apt-cache depends`: package → what it depends on, the first of each set of alternatives."""
    graph: dict[str, list[str]] = {}
    current: list[str] = []
    alternative = False
    for line in text.splitlines():
        if not line.startswith((" ", "|")):
            current = graph.setdefault(line.strip(), [])
            continue
        kind, _, name = line.strip(" |").partition(": ")
        if kind in ("Depends", "PreDepends"):
            if not alternative and not name.startswith("<"):
                current.append(name)
            alternative = line.startswith(" |")
    return graph


def fetch(packages: Iterable[str], cache: Path) -> dict[str, Path]:
    """Download what the cache does not have; name → file."""
    cache.mkdir(parents=True, exist_ok=True)
    names = list(packages)
    lacking = [name for name in names if _cached(name, cache) is None]
    if lacking:
        command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *lacking]
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True)
        if done.returncode != 0:  # the lists may be older than the archive
            _update()
            done = subprocess.run(command, cwd=cache, capture_output=True, text=True)
        if done.returncode != 0:
            raise ConfigError(f"apt-get download failed: {done.stderr.strip()}")
    files = {name: _cached(name, cache) for name in names}
    return {name: file for name, file in files.items() if file is not None}


def version(package: Path) -> str:
    """A package's version as its authors count: without epoch, Debian revision and all after the second number."""
    text = _run("dpkg-deb", "-f", str(package), "Version").strip()
    numbers = re.match(r"(?:\d+:)?(\d+(?:\.\d+)?)", text)
    if numbers is None:
        raise ConfigError(f"{package.name}: cannot read version {text}")
    return numbers[1]


def unpack(packages: Iterable[Path], root: Path) -> None:
    """Unpack into a directory with a merged /usr, as Debian's own installations have it."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc").mkdir()
    for package in packages:
        with subprocess.Popen(("dpkg-deb", "--fsys-tarfile", package), stdout=subprocess.PIPE) as archive:
            # dpkg-deb --extract would replace the links above by directories
            subprocess.run(("tar", "-x", "--keep-directory-symlink", "-C", root), stdin=archive.stdout, check=True)
    _run("ldconfig", "-r", str(root))


def _cached(name: str, cache: Path) -> Path | None:
    files = sorted(cache.glob(f"{name}_*.deb"))
    return files[-1] if files else None


def _which(tool: str) -> str | None:
    return shutil.which(tool, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ConfigError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
