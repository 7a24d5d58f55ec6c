"""Control groups, in directories that look like them; the real ones are in test_cri."""

from __future__ import annotations

from pathlib import Path

import pytest

from kijabi.kubelet.runtime.cgroups import Cgroups, shares_to_weight
from kijabi.kubelet.runtime.interface import Resources

LIMITS = Resources(cpu_shares=512, cpu_quota=50_000, memory_limit=64 << 20)


@pytest.fixture
def v1(tmp_path: Path) -> Cgroups:
    for controller in ("cpu", "memory"):
        (tmp_path / controller).mkdir()
        (tmp_path / controller / "cgroup.procs").touch()
    (tmp_path / "cpuacct").symlink_to("cpu")
    return Cgroups("kijabi-1/node", tmp_path)


def test_names_follow_the_qos_class() -> None:
    groups = Cgroups("kijabi-1/node")
    assert groups.pod("Guaranteed", "u") == "/kijabi-1/node/kubepods/podu"
    assert groups.pod("Burstable", "u") == "/kijabi-1/node/kubepods/burstable/podu"
    assert groups.pod("BestEffort", "u") == "/kijabi-1/node/kubepods/besteffort/podu"


def test_a_group_is_made_found_and_removed(v1: Cgroups, tmp_path: Path) -> None:
    group = v1.pod("Burstable", "u1")
    v1.create(group, LIMITS)
    at = tmp_path / "cpu" / group[1:]
    assert (at / "cpu.shares").read_text() == "512"
    assert (at / "cpu.cfs_quota_us").read_text() == "50000"
    assert (tmp_path / "memory" / group[1:] / "memory.limit_in_bytes").read_text() == str(64 << 20)
    v1.update(group, Resources())
    assert (at / "cpu.cfs_quota_us").read_text() == "-1"
    assert v1.pods() == {"u1": group}
    for file in tmp_path.glob("*/kijabi-1/**/*.*"):
        file.unlink()  # in a real tree they vanish with the directory
    (tmp_path / "cpu" / group[1:] / "container").mkdir()
    assert v1.exists(group)
    assert v1.remove(group)
    assert v1.remove(group)
    assert not v1.exists(group)
    (tmp_path / "cpu" / "kijabi-1" / "other").mkdir()
    v1.remove_all()
    assert not (tmp_path / "memory" / "kijabi-1").exists()
    assert (tmp_path / "cpu" / "kijabi-1" / "other").exists()


def test_version_2_has_one_tree(tmp_path: Path) -> None:
    groups = Cgroups("kijabi-1/node", tmp_path)
    path = tmp_path
    for part in ("", "kijabi-1", "node", "kubepods", "burstable"):
        path = path / part
        path.mkdir(exist_ok=True)
        (path / "cgroup.controllers").write_text("cpu io memory pids\n")
    groups = Cgroups("kijabi-1/node", tmp_path)
    group = groups.pod("Burstable", "u1")
    groups.create(group, LIMITS)
    at = tmp_path / group[1:]
    assert (at / "cpu.weight").read_text() == str(shares_to_weight(512))
    assert (at / "cpu.max").read_text() == "50000 100000"
    assert (at / "memory.max").read_text() == str(64 << 20)
    assert (at.parent / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    groups.update(group, Resources())
    assert (at / "cpu.max").read_text() == "max 100000"
    assert (at / "memory.max").read_text() == "max"


@pytest.mark.parametrize(("shares", "weight"), [(0, 1), (2, 1), (1024, 39), (262144, 10000), (10**9, 10000)])
def test_shares_become_weight(shares: int, weight: int) -> None:
    assert shares_to_weight(shares) == weight
