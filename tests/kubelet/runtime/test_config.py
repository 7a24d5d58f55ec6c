"""What a node's daemon and network are told, without starting anything."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path

import pytest

from kijabi.base.errors import ConfigError
from kijabi.kubelet.runtime import cni, containerd, network

CONFIG = containerd.Config(
    root=Path("/data/root"),
    state=Path("/run/kijabi/1a2b/node-1"),
    shared=Path("/data/pods"),
    cni_conf=Path("/data/cni"),
    certs=Path("/data/certs.d"),
    log=Path("/data/log"),
    cgroups="/kijabi-1a2b/node-1",
)


def test_containerd_is_told_where_it_lives() -> None:
    programs = {"oci": "/usr/bin/crun", "runc": "/usr/sbin/runc"}
    text = containerd.configuration(CONFIG, programs=programs, snapshotter="overlayfs", bin_dir="/cni")
    told = tomllib.loads(text)
    cri = told["plugins"]["io.containerd.grpc.v1.cri"]
    assert told["grpc"]["address"] == "/run/kijabi/1a2b/node-1/containerd.sock"
    assert cri["cni"] == {"bin_dir": "/cni", "conf_dir": "/data/cni", "max_conf_num": 1}
    assert cri["registry"]["config_path"] == "/data/certs.d"
    assert cri["containerd"]["default_runtime_name"] == "oci"
    binaries = {name: runtime["options"]["BinaryName"] for name, runtime in cri["containerd"]["runtimes"].items()}
    assert binaries == programs


def test_an_oci_runtime_must_be_there() -> None:
    with pytest.raises(ConfigError, match="neither no-such-runtime"):
        containerd.runtime_binary("no-such-runtime")


def test_a_network_has_names_and_addresses_of_its_own() -> None:
    nets = [cni.network("1a2b3c4d", name, "10.244.1.0/24", Path("/data")) for name in ("node-1", "node-2")]
    assert nets[0].bridge != nets[1].bridge
    assert all(len(net.bridge) <= 15 for net in nets)
    assert nets[0].gateway == ipaddress.IPv4Interface("10.244.1.1/24")
    assert nets[0].mac == "0a:58:0a:f4:01:01"


def test_the_network_configuration() -> None:
    net = cni.network("1a2b3c4d", "node-1", "10.244.1.0/24", Path("/data/addresses"), mtu=1400)
    bridge, portmap = cni.conflist(net)["plugins"]
    assert (bridge["isGateway"], bridge["ipMasq"], bridge["mtu"]) == (True, False, 1400)
    assert bridge["ipam"]["dataDir"] == "/data/addresses"
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24", "gateway": "10.244.1.1"}]]
    assert portmap["capabilities"] == {"portMappings": True}


def test_addresses_are_freed_by_owner(tmp_path: Path) -> None:
    net = cni.network("1a2b3c4d", "test", "10.244.1.0/24", tmp_path)
    leases = tmp_path / net.name
    leases.mkdir()
    (leases / "10.244.1.2").write_bytes(b"living\r\neth0")
    (leases / "10.244.1.3").write_bytes(b"gone\r\neth0")
    (leases / "10.244.1.4").write_bytes(b"")
    (leases / "last_reserved_ip.0").write_bytes(b"10.244.1.4")
    assert cni.purge(net, {"living"}) == 2
    assert sorted(path.name for path in leases.iterdir()) == ["10.244.1.2", "last_reserved_ip.0"]


def test_the_plan_of_several_nodes() -> None:
    nodes = [("a", "10.1.1.0/24"), ("b", "10.1.2.0/24")]
    plan = network.layout("0123456789ab", "172.30.0.0/24", nodes)
    assert [(link.address, link.netns) for link in plan.nodes] == [
        ("172.30.0.1", ""),
        ("172.30.0.11", "kijabi-0123456789ab-b"),
    ]
    assert network.machine_commands(plan) == [
        "link add kin01234567 address 0a:58:ac:1e:00:01 type bridge",
        "address replace 172.30.0.1/24 dev kin01234567",
        "link set kin01234567 up",
        "netns add kijabi-0123456789ab-b",
        "link add k01234567v1 type veth peer name eth0 netns kijabi-0123456789ab-b",
        "link set k01234567v1 master kin01234567 up",
        "link set k01234567v1 type bridge_slave hairpin on",
        "route replace 10.1.2.0/24 via 172.30.0.11",
    ]
    assert network.node_commands(plan, plan.node("b"))[-1] == "route replace 10.1.1.0/24 via 172.30.0.1"
    assert all(len(name) <= 15 for name in (plan.bridge, plan.node("b").veth))
    with pytest.raises(ConfigError, match="do not fit"):
        network.layout("x", "172.30.0.0/30", nodes)
