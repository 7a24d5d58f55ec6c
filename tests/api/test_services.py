"""Services: what is carried over when a client leaves it out, what goes with a type, what stays for good."""

from typing import Any

import pytest

from kijabi.api.core.service import RESOURCE
from tests.api.writes import Refused, create, stored, update

CLUSTER = {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
NODE = CLUSTER | {"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30080}]}
LOCAL = NODE | {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30999}


def service(**spec: Any) -> dict[str, Any]:
    """A valid service but for what is given."""
    whole = {"ports": [{"name": "a", "port": 80}], "selector": {"app": "web"}} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": whole}


def renewed(before: dict[str, Any], **spec: Any) -> Any:
    """A stored service after a client wrote it anew from what it knows."""
    old = stored(service(**before))
    new = service(**spec)
    new["metadata"] = old["metadata"]
    return update(new, old).spec


def test_defaults() -> None:
    spec = create(service(**CLUSTER)).spec
    assert (spec.type, spec.sessionAffinity, spec.internalTrafficPolicy) == ("ClusterIP", "None", "Cluster")
    assert (spec.ports[0].protocol, spec.ports[0].targetPort) == ("TCP", 80)
    assert create(service(**NODE)).spec.externalTrafficPolicy == "Cluster"
    assert create(service(**LOCAL)).spec.allocateLoadBalancerNodePorts is True
    affine = create(service(**CLUSTER, sessionAffinity="ClientIP")).spec
    assert affine.sessionAffinityConfig.clientIP.timeoutSeconds == 10800


def test_what_was_allocated_need_not_be_repeated() -> None:
    spec = renewed(
        LOCAL, type="LoadBalancer", externalTrafficPolicy="Local", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack"
    )
    assert (spec.clusterIP, spec.clusterIPs) == ("10.0.0.1", ("10.0.0.1",))
    assert (spec.ports[0].nodePort, spec.healthCheckNodePort) == (30080, 30999)


def test_ports_of_nodes_go_with_their_names() -> None:
    two = [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}]
    spec = renewed(NODE | {"ports": two}, **NODE | {"ports": [{"name": "b", "port": 8081}, {"name": "c", "port": 1}]})
    assert [(port.name, port.nodePort) for port in spec.ports] == [("b", 30081), ("c", 0)]


def test_a_type_drops_what_it_does_not_have() -> None:
    spec = renewed(LOCAL, **LOCAL | {"type": "ClusterIP"})
    assert (spec.ports[0].nodePort, spec.healthCheckNodePort, spec.externalTrafficPolicy) == (0, 0, "")
    assert spec.allocateLoadBalancerNodePorts is None
    spec = renewed(CLUSTER, **CLUSTER | {"type": "ExternalName", "externalName": "db.example.com"})
    assert (spec.clusterIP, spec.clusterIPs, spec.ipFamilies, spec.ipFamilyPolicy) == ("", (), (), None)


STAYS = [
    (
        {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"]},
        'spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set',
    ),
    ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set'),
    (
        {"loadBalancerClass": "example.com/other"},
        'spec.loadBalancerClass: Invalid value: "example.com/other": may not change once set',
    ),
    ({"healthCheckNodePort": 31000}, "spec.healthCheckNodePort: Forbidden: field is immutable"),
]


@pytest.mark.parametrize(("change", "text"), STAYS)
def test_what_stays(change: dict[str, Any], text: str) -> None:
    before = LOCAL | {"loadBalancerClass": "example.com/lb"}
    with pytest.raises(Refused) as refused:
        renewed(before, **before | change)
    assert text in str(refused.value)


def test_two_families() -> None:
    both = {
        "clusterIP": "10.0.0.1",
        "clusterIPs": ["10.0.0.1", "fd00::1"],
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "PreferDualStack",
    }
    assert create(service(**both)).spec.clusterIPs == ("10.0.0.1", "fd00::1")
    with pytest.raises(Refused, match="may specify no more than one IP for each IP family"):
        create(service(**both | {"clusterIPs": ["10.0.0.1", "10.0.0.2"], "ipFamilies": ["IPv4"]}))
    with pytest.raises(Refused, match="must be set to 'SingleStack' when releasing the secondary clusterIP"):
        renewed(both, **both | {"clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"]})
    spec = renewed(both, **CLUSTER)
    assert spec.clusterIPs == ("10.0.0.1",)


def test_warnings() -> None:
    found = RESOURCE.warnings(create(service(clusterIP="None", externalIPs=["1.2.3.4"], sessionAffinity="ClientIP")))
    assert found == [
        "spec.externalIPs is ignored for headless services",
        "spec.SessionAffinity is ignored for headless services",
    ]


def test_balancers_report_addresses() -> None:
    old = stored(service(**LOCAL))
    ingress = [{"ip": "1.2.3.4"}, {"hostname": "lb.example.com"}]
    obj = update(old | {"status": {"loadBalancer": {"ingress": ingress}}}, old, "status")
    assert obj.status.loadBalancer.ingress[0].ipMode == "VIP"
    plain = stored(service(**CLUSTER))
    with pytest.raises(Refused, match=r"may only be used when `spec\.type` is 'LoadBalancer'"):
        update(plain | {"status": {"loadBalancer": {"ingress": ingress}}}, plain, "status")
