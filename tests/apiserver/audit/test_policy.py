"""Which rule of an audit policy decides, and what a policy may say."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from kijabi.apiserver.attributes import RequestInfo, UserInfo
from kijabi.apiserver.audit import policy
from kijabi.base.errors import ConfigError

JANE = UserInfo("jane", groups=("dev", "system:authenticated"))


def text(*rules: str, more: str = "") -> bytes:
    listed = "".join(f"- {rule}\n" for rule in rules)
    return f"apiVersion: audit.k8s.io/v1\nkind: Policy\n{more}\nrules:\n{listed}".encode()


def resource(verb: str = "get", path: str = "", **more: str) -> RequestInfo:
    return RequestInfo(verb=verb, path=path, is_resource=True, version="v1", **more)


PODS = resource(resource="pods", namespace="default", name="web")
LOGS = resource(resource="pods", subresource="log", namespace="default", name="web")
NODES = resource(resource="nodes", name="n1")
PATH = RequestInfo(verb="get", path="/healthz/etcd")


@pytest.mark.parametrize(
    ("rule", "hits", "misses"),
    [
        ("{level: Metadata}", (PODS, LOGS, PATH), ()),
        ("{level: Metadata, users: [jane]}", (PODS,), ()),
        ("{level: Metadata, users: [joe]}", (), (PODS,)),
        ("{level: Metadata, userGroups: [ops, dev]}", (PODS, PATH), ()),
        ("{level: Metadata, userGroups: [ops]}", (), (PODS,)),
        ("{level: Metadata, verbs: [list]}", (), (PODS,)),
        ("{level: Metadata, namespaces: [default]}", (PODS,), (NODES, PATH)),
        ('{level: Metadata, namespaces: [""]}', (NODES,), (PODS, PATH)),
        ('{level: Metadata, resources: [{group: ""}]}', (PODS, LOGS, NODES), (PATH,)),
        ("{level: Metadata, resources: [{group: apps}]}", (), (PODS,)),
        ('{level: Metadata, resources: [{group: "*", resources: [pods]}]}', (PODS,), (LOGS, NODES)),
        ("{level: Metadata, resources: [{resources: [pods/log]}]}", (LOGS,), (PODS,)),
        ('{level: Metadata, resources: [{resources: ["pods/*"]}]}', (LOGS, PODS), (NODES,)),
        ('{level: Metadata, resources: [{resources: ["*/log"]}]}', (LOGS,), (PODS,)),
        ('{level: Metadata, resources: [{resources: ["*"]}]}', (LOGS, PODS, NODES), (PATH,)),
        ("{level: Metadata, resources: [{resources: [pods], resourceNames: [db]}]}", (), (PODS,)),
        ('{level: Metadata, nonResourceURLs: ["/healthz*"]}', (PATH,), (PODS,)),
        ("{level: Metadata, nonResourceURLs: [/healthz]}", (), (PATH,)),
        ('{level: Metadata, nonResourceURLs: ["*"]}', (PATH,), (PODS,)),
    ],
)
def test_what_a_rule_is_about(rule: str, hits: tuple[RequestInfo, ...], misses: tuple[RequestInfo, ...]) -> None:
    policies = policy.Policies(policy.parse(text(rule)))
    assert [policies.decide(JANE, info).level for info in hits] == ["Metadata"] * len(hits)
    assert [policies.decide(JANE, info).level for info in misses] == ["None"] * len(misses)


def test_a_rule_about_users_is_not_about_nobody() -> None:
    policies = policy.Policies(policy.parse(text("{level: Request, userGroups: [dev]}", "{level: Metadata}")))
    assert policies.decide(JANE, PODS).level == "Request"
    assert policies.decide(None, PODS).level == "Metadata"


def test_the_first_rule_decides_with_the_policys_stages_and_its_own() -> None:
    more = "omitStages: [RequestReceived]\nomitManagedFields: true"
    one = "{level: Request, verbs: [get], omitStages: [Panic], omitManagedFields: false}"
    policies = policy.Policies(policy.parse(text(one, "{level: Metadata}", more=more)))
    assert policies.decide(JANE, PODS) == policy.Decided("Request", frozenset(("RequestReceived", "Panic")), False)
    other = msgspec.structs.replace(PODS, verb="list")
    assert policies.decide(JANE, other) == policy.Decided("Metadata", frozenset(("RequestReceived",)), True)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (text("{users: [a]}"), "rules[0].level: Required value"),
        (
            text("{level: All}"),
            'rules[0].level: Unsupported value: "All": supported values: "None", "Metadata", "Request", '
            '"RequestResponse"',
        ),
        (
            text("{level: None, nonResourceURLs: [api]}"),
            "rules[0].nonResourceURLs[0]: Invalid value: \"api\": non-resource URL rules must begin with a '/' "
            "character",
        ),
        (
            text('{level: None, nonResourceURLs: ["/a*b"]}'),
            "rules[0].nonResourceURLs[0]: Invalid value: \"/a*b\": non-resource URL wildcards '*' must be the final "
            "character of the rule",
        ),
        (
            text("{level: None, nonResourceURLs: [/a], namespaces: [b]}"),
            'rules[0].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and '
            "non-resource URLs",
        ),
        (
            text("{level: None, resources: [{resourceNames: [a]}]}"),
            'rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires at least one '
            "resource",
        ),
        (
            text("{level: None, omitStages: [Later]}"),
            'rules[0].omitStages[0]: Invalid value: "Later": allowed stages are '
            "RequestReceived,ResponseStarted,ResponseComplete,Panic",
        ),
        (text("{users: [a]}", "{users: [b]}"), "[rules[0].level: Required value, rules[1].level: Required value]"),
        (b"apiVersion: audit.k8s.io/v1\nkind: Policy\n", "loaded illegal policy with 0 rules"),
        (b"", "unknown group version field audit.k8s.io/__internal, Kind=Policy in policy"),
        (
            b"apiVersion: audit.k8s.io/v1\nrules: []\n",
            "unknown group version field audit.k8s.io/__internal, Kind=Policy in policy",
        ),
        (
            b"apiVersion: audit.k8s.io/v1\nkind: EventList\n",
            "failed decoding: converting (v1.EventList) to (audit.Policy): unknown conversion",
        ),
        (
            b"apiVersion: audit.k8s.io/v1beta1\nkind: Policy\n",
            'failed decoding: no kind "Policy" is registered for version "audit.k8s.io/v1beta1" in scheme',
        ),
        (b"{", "failed decoding: yaml: "),
    ],
)
def test_what_is_wrong_with_a_policy(data: bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        policy.parse(data)
    file = tmp_path / "policy.yaml"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=r"^loading audit policy file: (.|\n)*: from file /"):
        policy.load(file)


def test_the_names_of_groups_are_domains() -> None:
    with pytest.raises(ValueError, match=r"rules\[0\]\.resources\.group: Invalid value: \"a/v1\""):
        policy.parse(text("{level: None, resources: [{group: a/v1}]}"))


def test_unknown_members_are_forgiven() -> None:
    assert policy.parse(text("{level: None, colour: red}")).rules[0].level == "None"


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="failed to read file path"):
        policy.load(tmp_path / "none.yaml")
