"""`kijabi doctor`: what this machine lacks to run containers, and the command that mends it.

A check is a name, a probe that gives what is wrong (or nothing), and the mend. `up` runs the checks that a start
needs; `--install` runs the mends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

CNI_DIRS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
CNI_PLUGINS = ("bridge", "host-local", "portmap", "loopback")
APT = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a machine needs. problem(): what is wrong in words, or "". needed: without it nothing starts."""

    name: str
    problem: Callable[[], str]
    package: str = ""
    mend: str = ""
    needed: bool = True

    def command(self) -> str:
        """What to type to mend it."""
        return self.mend or f"{APT} {self.package}"


def _program(name: str) -> Callable[[], str]:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"))
    return lambda: "" if shutil.which(name, path=path) else f"the program {name} is not installed"


def _one_of(*names: str) -> Callable[[], str]:
    def probe() -> str:
        return "" if any(not _program(name)() for name in names) else f"none of {', '.join(names)} is installed"

    return probe


def _cni_plugins() -> str:
    for folder in map(Path, CNI_DIRS):
        if all((folder / plugin).exists() for plugin in CNI_PLUGINS):
            return ""
    return f"the CNI plugins {', '.join(CNI_PLUGINS)} are in none of {', '.join(CNI_DIRS)}"


def _root() -> str:
    return "" if os.geteuid() == 0 else "containers, network namespaces and nftables need root"


def _bridge_filter() -> str:
    if Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        return ""
    return "the kernel module br_netfilter is not loaded"


def _overlay() -> str:
    known = Path("/proc/filesystems").read_text().split()
    return "" if "overlay" in known else "the kernel module overlay is not loaded"


def _cgroups() -> str:
    known = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    return "" if known & {"cgroup", "cgroup2"} else "no cgroup file system is mounted"


CHECKS: tuple[Check, ...] = (
    Check(name="root", problem=_root, mend="sudo -i"),
    Check(name="containerd", problem=_program("containerd"), package="containerd"),
    Check(name="OCI runtime", problem=_one_of("crun", "runc"), package="runc"),
    Check(name="CNI plugins", problem=_cni_plugins, package="containernetworking-plugins"),
    Check(name="nftables", problem=_program("nft"), package="nftables"),
    Check(name="iptables", problem=_program("iptables"), package="iptables"),
    Check(name="iproute2", problem=_program("ip"), package="iproute2"),
    Check(name="conntrack", problem=_program("conntrack"), package="conntrack"),
    Check(name="nsenter", problem=_program("nsenter"), package="util-linux"),
    Check(name="overlay file system", problem=_overlay, mend="modprobe overlay"),
    Check(name="bridge netfilter", problem=_bridge_filter, mend="modprobe br_netfilter"),
    Check(name="cgroups", problem=_cgroups, mend="mount -t cgroup2 none /sys/fs/cgroup"),
    Check(name="kubectl", problem=_program("kubectl"), package="kubernetes-client", needed=False),
)


class Finding(msgspec.Struct, frozen=True):
    """A check that failed, and why."""

    check: Check
    problem: str


def examine(checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Run the checks; what is wrong, in their order."""
    return [Finding(check, problem) for check in checks if (problem := check.problem())]


def commands(findings: Sequence[Finding]) -> list[str]:
    """The command lines that mend these findings, in order."""
    checks = [finding.check for finding in findings]
    needed = " ".join(check.package for check in checks if check.package and check.needed)
    wanted = " ".join(check.package for check in checks if check.package and not check.needed)
    lines = ["apt-get update -q"] if needed or wanted else []
    lines += [f"{APT} {packages}" for packages in (needed, wanted) if packages]
    return lines + [check.mend for check in checks if check.mend.startswith(("modprobe", "mount"))]


def install(findings: Sequence[Finding], say: Callable[[str], None]) -> list[Finding]:
    """Mend what can be mended from here; what is still wrong afterwards.

    What is needed goes in one apt-get call, what is not in another: a package that a distribution lacks must not
    keep the others away. `sudo -i` is nothing that a process can do for its caller.
    """
    for command in commands(findings):
        say(f"$ {command}")
        subprocess.run(command, shell=True, check=False)
    return examine([finding.check for finding in findings])
