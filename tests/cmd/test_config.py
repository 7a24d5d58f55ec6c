"""What a cluster is on disk: address ranges by slot, and what `up` makes of wishes."""

from __future__ import annotations

import ipaddress
import socket
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from kijabi.base.errors import ConfigError
from kijabi.cmd import addresses, config, up
from kijabi.cmd.config import SLOTS, ClusterConfig
from kijabi.cmd.up import Wishes


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that holds no cluster yet."""
    monkeypatch.setattr(config, "RUN", tmp_path / "run")
    monkeypatch.setattr(config, "_unused", lambda slot: True)
    return tmp_path


def ranges(cluster: ClusterConfig) -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Network(cidr) for cidr in (cluster.service_cidr, cluster.pod_cidr, cluster.node_cidr)]


def test_slots_never_overlap() -> None:
    clusters = [ClusterConfig(dir="/d", slot=slot) for slot in range(SLOTS)]
    networks = [network for cluster in clusters for network in ranges(cluster)]
    assert not [pair for pair in combinations(networks, 2) if pair[0].overlaps(pair[1])]
    assert len({cluster.kubelet_port for cluster in clusters}) == SLOTS


def test_addresses_follow_from_the_slot() -> None:
    cluster = ClusterConfig(dir="/d", slot=0, nodes=3)
    assert (cluster.service_ip, cluster.dns_ip) == ("10.96.0.1", "10.96.0.10")
    assert [cluster.pod_cidr_of(index) for index in range(3)] == ["10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"]
    assert cluster.advertise == "10.244.1.1"
    assert cluster.hash == ClusterConfig(dir="/d", slot=7).hash


def make(directory: Path) -> int:
    """A cluster's place on disk; gives its slot."""
    slot = config.claim_slot(str(directory))
    directory.mkdir(exist_ok=True)
    ClusterConfig(dir=str(directory), slot=slot).save()
    return slot


def test_clusters_take_the_lowest_free_slot_and_keep_it(machine: Path) -> None:
    assert [make(machine / name) for name in ("a", "b", "a")] == [0, 1, 0]
    config.release_slot(str(machine / "a"))
    assert make(machine / "c") == 0


def test_a_slot_whose_cluster_is_gone_is_free(machine: Path) -> None:
    assert make(machine / "a") == 0
    (machine / "a" / "cluster.json").unlink()
    assert make(machine / "b") == 0


def test_a_slot_that_another_took_meanwhile_is_refused(machine: Path) -> None:
    make(machine / "a")
    with pytest.raises(ConfigError, match="are taken by the one in"):
        config.claim_slot(str(machine / "b"), 0)


def test_slots_that_the_machine_uses_itself_come_last(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_unused", lambda slot: slot == 5)
    assert make(machine / "a") == 5
    assert make(machine / "b") == 0


def test_it_is_saved_and_loaded(machine: Path) -> None:
    cluster = ClusterConfig(dir=str(machine), port=7000, nodes=2, runtime="fake")
    cluster.save()
    assert config.load(machine) == cluster
    (machine / "cluster.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        config.load(machine)
    with pytest.raises(ConfigError, match="start one with `kijabi up"):
        config.load(machine / "elsewhere")


def test_what_is_not_wished_stays(machine: Path) -> None:
    first = up.settle(Wishes(directory=machine / "a", port=7000, nodes=2))
    assert (first.port, first.nodes, first.runtime) == (7000, 2, "cri")
    again = up.settle(Wishes(directory=machine / "a", runtime="fake"))
    assert (again.port, again.nodes, again.runtime, again.slot) == (7000, 2, "fake", first.slot)


def test_a_running_cluster_is_not_changed(machine: Path) -> None:
    cluster = ClusterConfig(dir="/d", port=7000)
    up.refuse_changes(cluster, Wishes(directory=machine, port=7000))
    with pytest.raises(ConfigError, match="runs with --nodes 1"):
        up.refuse_changes(cluster, Wishes(directory=machine, nodes=2))


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is in use by another program: choose another with --port"):
            up.check_ports(ClusterConfig(dir="/d", port=port, runtime="fake"))


def test_the_pool_of_load_balancers_is_where_nobody_else_is() -> None:
    several = ClusterConfig(dir="/d", slot=3, nodes=64)
    assert several.balancer_pool == ("172.30.3.128-172.30.3.254",)
    plan = addresses.layout(several)
    assert plan is not None
    first = ipaddress.IPv4Network(several.balancer_cidr)[0]
    assert max(ipaddress.IPv4Address(link.address) for link in plan.nodes) < first
    given = ClusterConfig(dir="/d", load_balancer_pool=("192.168.1.240/28",))
    assert given.balancer_pool == ("192.168.1.240/28",)


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        ({"cloud_provider": "moon"}, "there is no cloud provider moon; there are: bare"),
        ({"load_balancer_pool": ("10.0.0.9-10.0.0.1",)}, "before its begin"),
        ({"load_balancer_pool": ("10.96.1.0/24",)}, "has addresses of the cluster's Services"),
        ({"load_balancer_pool": ("10.240.0.0-10.250.0.0",)}, "has addresses of the cluster's pods"),
        ({"load_balancer_pool": ("127.0.0.0/30",)}, "has this machine's own address 127.0.0.1"),
        ({"cloud_config": "/no/such/file"}, "there is no file /no/such/file"),
    ],
)
def test_a_cloud_that_cannot_be_is_refused_before_anything_is_kept(
    machine: Path, wish: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        up.settle(Wishes(directory=machine / "a", **wish))
    assert not (machine / "a" / "cluster.json").exists()


def test_the_pool_is_kept_until_another_is_given(machine: Path) -> None:
    place = machine / "a"
    place.mkdir()
    up.settle(Wishes(directory=place, load_balancer_pool=("198.18.0.0/24",)))
    assert up.settle(Wishes(directory=place)).balancer_pool == ("198.18.0.0/24",)
    assert up.settle(Wishes(directory=place, load_balancer_pool=())).balancer_pool == ("172.30.0.128-172.30.0.254",)
