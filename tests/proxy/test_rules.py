"""Services to frontends to nftables scripts: pure, against a golden transcript and a model of the maps."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointHints, EndpointSlice
from kijabi.proxy.rules import EMPTY, ProxyConfig, frame, lost_udp, ruleset, script
from kijabi.proxy.services import Backend, Frontend, Here, frontends

CONFIG = ProxyConfig(table="t", pod_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16")


def service(**spec: Any) -> Service:
    spec.setdefault("clusterIP", "10.96.0.9")
    spec.setdefault("ports", [{"name": "http", "port": 80, "protocol": "TCP"}])
    return codec.from_builtins(Service, {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})


def slice_(*endpoints: tuple[str, str, dict[str, bool]], port: int = 8080, name: str = "http") -> EndpointSlice:
    content = {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "addressType": "IPv4",
        "ports": [{"name": name, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [a], "nodeName": n, "conditions": c} for a, n, c in endpoints],
    }
    return codec.from_builtins(EndpointSlice, content)


READY = {"ready": True, "serving": True, "terminating": False}
STOPPING = {"ready": False, "serving": True, "terminating": True}
BROKEN = {"ready": False, "serving": False, "terminating": False}


def backends(of: Service, *slices: EndpointSlice, node: str = "n1", zone: str = "z1") -> list[list[str]]:
    return [[b.address for b in f.backends] for f in frontends(of, slices, Here(node, zone))]


def test_only_ready_endpoints_get_connections() -> None:
    found = backends(service(), slice_(("10.244.1.2", "n1", READY), ("10.244.1.3", "n1", STOPPING)))
    assert found == [["10.244.1.2"]]


def test_the_last_ones_serve_until_they_are_gone() -> None:
    assert backends(service(), slice_(("10.244.1.3", "n1", STOPPING), ("10.244.1.4", "n1", BROKEN))) == [["10.244.1.3"]]


def test_who_is_ready_is_said_by_the_slice() -> None:
    """A Service that publishes what is not ready has it ready in its slices."""
    published = {"ready": True, "serving": False, "terminating": False}
    assert backends(service(publishNotReadyAddresses=True), slice_(("10.244.1.4", "n1", published))) == [["10.244.1.4"]]
    assert backends(service(publishNotReadyAddresses=True), slice_(("10.244.1.4", "n1", BROKEN))) == [[]]


def near(*endpoints: tuple[str, str, list[str], list[str]], conditions: dict[str, bool] | None = None) -> EndpointSlice:
    """Endpoints by address, node, and the zones and nodes that they are hinted at for."""
    made = slice_(*((address, node, conditions or READY) for address, node, _, _ in endpoints))
    for endpoint, (_, _, zones, nodes) in zip(made.endpoints, endpoints, strict=True):
        named = {"forZones": [{"name": zone} for zone in zones], "forNodes": [{"name": node} for node in nodes]}
        endpoint.hints = codec.from_builtins(EndpointHints, named)
    return made


def test_hints_say_what_is_near() -> None:
    by_zone = near(("10.244.1.2", "n1", ["z1"], []), ("10.244.2.2", "n2", ["z2"], []))
    assert backends(service(), by_zone) == [["10.244.1.2"]]
    assert backends(service(), by_zone, zone="z2") == [["10.244.2.2"]]
    assert backends(service(), by_zone, zone="z3") == [["10.244.1.2", "10.244.2.2"]], "nothing is hinted at for here"
    assert backends(service(), by_zone, zone="") == [["10.244.1.2", "10.244.2.2"]]
    by_node = near(("10.244.1.2", "n1", ["z1"], ["n1"]), ("10.244.2.2", "n2", ["z1"], ["n2"]))
    assert backends(service(), by_node) == [["10.244.1.2"]]
    assert backends(service(), by_node, node="n3") == [["10.244.1.2", "10.244.2.2"]], "then the zone"


def test_hints_count_only_if_all_ready_endpoints_have_them() -> None:
    some = near(("10.244.1.2", "n1", ["z1"], []), ("10.244.2.2", "n2", [], []))
    assert backends(service(), some) == [["10.244.1.2", "10.244.2.2"]]
    last = near(("10.244.1.2", "n1", ["z1"], []), ("10.244.2.2", "n2", ["z2"], []), conditions=STOPPING)
    assert backends(service(), last) == [["10.244.1.2", "10.244.2.2"]], "the last that serve are for everybody"


def test_a_local_policy_knows_no_hints() -> None:
    away = near(("10.244.1.2", "n1", ["z2"], []), ("10.244.2.2", "n2", ["z1"], []))
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
    found = frontends(service(type="NodePort", externalTrafficPolicy="Local", ports=ports), [away], Here("n1", "z1"))
    assert [[b.address for b in f.backends] for f in found] == [["10.244.2.2"], ["10.244.1.2"]]
    assert [b.address for b in found[1].inside] == ["10.244.2.2"], "who asks from within goes where it is near"


def test_local_policies_keep_traffic_on_the_node() -> None:
    both = slice_(("10.244.1.2", "n1", READY), ("10.244.2.2", "n2", READY))
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
    external = frontends(service(type="NodePort", externalTrafficPolicy="Local", ports=ports), [both], Here("n2"))
    assert [(f.address, len(f.backends), f.masquerade) for f in external] == [("10.96.0.9", 2, False), ("", 1, False)]
    internal = frontends(service(internalTrafficPolicy="Local"), [both], Here("n3"))
    assert [(f.backends, f.refuse) for f in internal] == [((), "drop")]


def test_headless_and_external_name_are_not_proxied() -> None:
    assert frontends(service(clusterIP="None"), [], Here("n1")) == ()
    assert frontends(service(type="ExternalName", externalName="example.org", clusterIP=""), [], Here("n1")) == ()


def test_session_affinity_defaults_to_three_hours() -> None:
    (frontend,) = frontends(service(sessionAffinity="ClientIP"), [slice_(("10.244.1.2", "n1", READY))], Here("n1"))
    assert frontend.sticky == 10800


def test_script_of_a_small_cluster() -> None:
    rules = ruleset(
        [
            Frontend("10.96.0.1", "tcp", 443, (Backend("10.244.1.1", 6443),)),
            Frontend("", "tcp", 30080, (Backend("10.244.1.2", 80), Backend("10.244.1.3", 80)), True),
            Frontend("10.96.0.4", "udp", 53, ()),
        ]
    )
    assert script(CONFIG, EMPTY, rules).splitlines() == [
        "add element ip t address-backends { 10.96.0.1 . tcp . 443 . 0 : 10.244.1.1 . 6443 }",
        "add element ip t address-services { 10.96.0.1 . tcp . 443 : goto address-pick-1 }",
        "add element ip t port-backends { tcp . 30080 . 0 : 10.244.1.2 . 80, tcp . 30080 . 1 : 10.244.1.3 . 80 }",
        "add element ip t port-services { tcp . 30080 : goto port-pick-2-masq }",
        "add element ip t address-refused { 10.96.0.4 . udp . 53 : goto refuse }",
        "add element ip t hairpin { 10.244.1.1 . 10.244.1.1, 10.244.1.2 . 10.244.1.2, 10.244.1.3 . 10.244.1.3 }",
    ]


def test_a_change_touches_its_own_elements_only() -> None:
    one = Frontend("10.96.0.1", "tcp", 443, (Backend("10.244.1.1", 6443),))
    before = ruleset([one, Frontend("10.96.0.2", "tcp", 80, (Backend("10.244.1.2", 80), Backend("10.244.1.3", 80)))])
    after = ruleset([one, Frontend("10.96.0.2", "tcp", 80, (Backend("10.244.1.2", 80),))])
    assert "10.96.0.1" not in script(CONFIG, before, after)
    assert script(CONFIG, after, after) == ""


FRONTENDS = st.lists(
    st.builds(
        Frontend,
        st.sampled_from(["", "10.96.0.1", "10.96.0.2"]),
        st.sampled_from(["tcp", "udp"]),
        st.sampled_from([53, 80]),
        st.lists(st.builds(Backend, st.sampled_from(["10.244.0.1", "10.244.0.2"]), st.just(8080)), unique=True).map(
            lambda found: tuple(sorted(found))
        ),
        st.booleans(),
        st.sampled_from([0, 60]),
    ),
    max_size=5,
)


def apply(table: dict[str, dict[str, str]], text: str) -> None:
    """A model of nft: deleting what is not there or adding what is is an error."""
    for line in text.splitlines():
        verb, what, _, _, name, *rest = line.split(" ", 5)
        if what != "element":
            continue
        for element in rest[0].strip("{} ").split(", "):
            key, _, value = element.partition(" : ")
            if verb == "delete":
                del table.setdefault(name, {})[key]
            else:
                assert key not in table.setdefault(name, {})
                table[name][key] = value


@given(FRONTENDS, FRONTENDS)
def test_a_script_leads_from_any_ruleset_to_any_other(first: list[Frontend], second: list[Frontend]) -> None:
    table: dict[str, dict[str, str]] = {}
    old, new = ruleset(first), ruleset(second)
    apply(table, script(CONFIG, EMPTY, old))
    apply(table, script(CONFIG, old, new))
    assert {name: content for name, content in table.items() if content} == {
        name: dict(content) for name, content in new.elements.items() if content
    }


def test_udp_flows_to_lost_backends_are_forgotten() -> None:
    one, two = Backend("10.244.1.2", 53), Backend("10.244.1.3", 53)
    before = [Frontend("10.96.0.10", "udp", 53, (one, two)), Frontend("10.96.0.11", "udp", 53, ())]
    after = [Frontend("10.96.0.10", "udp", 53, (two,)), Frontend("10.96.0.11", "udp", 53, (one,))]
    assert lost_udp(before, after) == [(before[0], one), (after[1], None)]


def test_only_translated_connections_are_hairpinned() -> None:
    """Conntrack picks up connections that are older than the table; one of the node with itself must stay as it is."""
    rules = [line.strip() for line in frame(CONFIG).splitlines() if "@hairpin" in line]
    assert rules == ["ct status dnat ip saddr . ip daddr @hairpin masquerade"]


def test_what_only_crosses_the_bridge_is_left_alone() -> None:
    """The kernel shows bridged packets to the machine's rules; a Service may be another node's to answer."""
    config = replace(CONFIG, bridge="kin0", bridge_mac="0a:58:ac:1e:00:01")
    hooks = [line for line in frame(config).splitlines() if "hook prerouting" in line or "hook forward" in line]
    assert len(hooks) == 3
    assert all('iifname "kin0" ether daddr != 0a:58:ac:1e:00:01 accept;' in line for line in hooks)
    assert "iifname" not in frame(CONFIG)
