"""Constrained impersonation (KEP-5284): what is worn and what is done in it must both be allowed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from kijabi.apiserver.attributes import Decision, RequestInfo, UserInfo
from kijabi.apiserver.authn.impersonation import Impersonation
from kijabi.base.errors import BadRequest, Forbidden
from kijabi.client.transport import Request

Right = tuple[str, str, str]  # verb, resource (with its subresource), name


class Rights:
    """Allows some things to everybody, and notes what it was asked."""

    def __init__(self, *rights: Right) -> None:
        self.rights = rights
        self.asked: list[tuple[Right, UserInfo]] = []

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        right = (info.verb, resource, f"{info.namespace}/{info.name}" if info.namespace else info.name)
        self.asked.append((right, user))
        return Decision(right in self.rights)

    def names(self) -> list[Right]:
        return [right for right, _ in self.asked]


ACTOR = UserInfo("actor")
POD = UserInfo(
    "system:serviceaccount:ns:agent",
    extra={"authentication.kubernetes.io/node-name": ("n1",), "authentication.kubernetes.io/pod-name": ("p",)},
)


def request(user: str, *, groups: Iterable[str] = (), method: str = "GET", **headers: str) -> Request:
    found = {"impersonate-user": user} if user else {}
    if groups:
        found["impersonate-group"] = "\n".join(groups)
    found.update({name.replace("_", "-"): value for name, value in headers.items()})
    return Request(method=method, path="/api/v1/namespaces/ns/pods", headers=found)


ON_LIST = ("impersonate-on:user-info:list", "pods", "ns/")
JANE = ("impersonate:user-info", "users", "jane")


async def test_a_person() -> None:
    rights = Rights(ON_LIST, JANE, ("impersonate:user-info", "groups", "dev"))
    impersonation = Impersonation(rights)
    asked = request("jane", groups=("dev",))
    found, constraint = await impersonation.impersonate(asked, ACTOR)
    assert found == UserInfo("jane", groups=("dev", "system:authenticated"))
    assert (constraint, asked.headers) == ("impersonate:user-info", {})
    assert rights.names() == [ON_LIST, JANE, ("impersonate:user-info", "groups", "dev")]
    await impersonation.impersonate(request("jane", groups=("dev",)), ACTOR)
    assert len(rights.asked) == 3, "the permission is remembered"
    with pytest.raises(Forbidden) as refused:
        await impersonation.impersonate(request("jane", groups=("dev",), method="DELETE"), ACTOR)
    assert refused.value.message == (
        'pods is forbidden: User "actor" cannot impersonate-on:user-info:deletecollection resource "pods" in API group '
        '"" in the namespace "ns"'
    )


async def test_what_was_allowed_before_still_is() -> None:
    rights = Rights(("impersonate", "users", "jane"), ("impersonate", "groups", "system:masters"))
    found, constraint = await Impersonation(rights).impersonate(request("jane", groups=("system:masters",)), ACTOR)
    assert (found.groups, constraint) == (("system:masters", "system:authenticated"), "")
    alone = Impersonation(rights, constrained=False)
    await alone.impersonate(request("jane"), ACTOR)
    assert rights.names()[-1] == ("impersonate", "users", "jane")


async def test_the_way_that_worked_last_is_tried_first() -> None:
    rights = Rights(("impersonate", "users", "jane"))
    impersonation = Impersonation(rights)
    await impersonation.impersonate(request("jane"), ACTOR)
    rights.asked.clear()
    await impersonation.impersonate(request("jane"), ACTOR)
    assert rights.names() == [("impersonate", "users", "jane")]


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        (("system:masters",), "impersonating the system:masters group is not allowed"),
        (("a", ""), "impersonating the empty string group is not allowed"),
    ],
)
async def test_groups_that_nobody_wears(groups: tuple[str, ...], text: str) -> None:
    rights = Rights(ON_LIST, JANE, *(("impersonate:user-info", "groups", group) for group in (*groups, "*")))
    with pytest.raises(Forbidden, match=text):
        await Impersonation(rights).impersonate(request("jane", groups=groups), ACTOR)


async def test_many_groups_are_asked_for_at_once() -> None:
    rights = Rights(ON_LIST, JANE, ("impersonate:user-info", "groups", "*"))
    found, _ = await Impersonation(rights).impersonate(request("jane", groups="abcde"), ACTOR)
    assert found.groups == (*"abcde", "system:authenticated")
    assert len(rights.asked) == 3


@pytest.mark.parametrize(
    ("header", "value", "text"),
    [
        ("impersonate-extra-", "x", "impersonating the empty string key in extra is not allowed"),
        (
            "impersonate-extra-team",
            "x",
            "impersonating an invalid key in extra is not allowed: extra.key: Invalid value",
        ),
        ("impersonate-extra-a.b%2fc", "", "impersonating the empty string value in extra is not allowed"),
    ],
)
async def test_extra_values_that_nobody_wears(header: str, value: str, text: str) -> None:
    with pytest.raises(Forbidden, match=text):
        await Impersonation(Rights(ON_LIST, JANE)).impersonate(request("jane", **{header: value}), ACTOR)


async def test_extra_values_and_uid() -> None:
    rights = Rights(
        ON_LIST, JANE, ("impersonate:user-info", "uids", "7"), ("impersonate:user-info", "userextras/a.b/c", "x")
    )
    more = {"impersonate-uid": "7", "impersonate-extra-a.b%2fc": "x"}
    found, _ = await Impersonation(rights).impersonate(request("jane", **more), ACTOR)
    assert (found.uid, found.extra) == ("7", {"a.b/c": ("x",)})


async def test_a_service_account() -> None:
    on, worn = (
        ("impersonate-on:serviceaccount:list", "pods", "ns/"),
        ("impersonate:serviceaccount", "serviceaccounts", "ns/a"),
    )
    found, constraint = await Impersonation(Rights(on, worn)).impersonate(request("system:serviceaccount:ns:a"), ACTOR)
    assert constraint == "impersonate:serviceaccount"
    assert found.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    rights = Rights(ON_LIST, ("impersonate:user-info", "serviceaccounts", "ns/a"))
    with pytest.raises(Forbidden):  # neither as a person, nor with groups of one's own
        await Impersonation(rights).impersonate(request("system:serviceaccount:ns:a"), ACTOR)
    with pytest.raises(Forbidden):
        await Impersonation(Rights(on, worn)).impersonate(request("system:serviceaccount:ns:a", groups="x"), ACTOR)


async def test_any_node() -> None:
    rights = Rights(
        ("impersonate-on:arbitrary-node:list", "pods", "ns/"), ("impersonate:arbitrary-node", "nodes", "n2")
    )
    found, constraint = await Impersonation(rights).impersonate(request("system:node:n2"), ACTOR)
    assert (found.groups, constraint) == (("system:nodes", "system:authenticated"), "impersonate:arbitrary-node")


async def test_the_node_that_a_pod_is_on() -> None:
    rights = Rights(
        ("impersonate-on:associated-node:list", "pods", "ns/"), ("impersonate:associated-node", "nodes", "*")
    )
    impersonation = Impersonation(rights)
    found, constraint = await impersonation.impersonate(request("system:node:n1"), POD)
    assert (found.name, found.groups) == ("system:node:n1", ("system:nodes", "system:authenticated"))
    assert constraint == "impersonate:associated-node"
    keys = ("authentication.kubernetes.io/node-name", "authentication.kubernetes.io/pod-name")
    assert rights.asked[0][1].extra == {"authentication.kubernetes.io/associated-node-keys": keys}
    for user, node in ((POD, "n2"), (ACTOR, "n1")):
        with pytest.raises(Forbidden):
            await impersonation.impersonate(request(f"system:node:{node}"), user)


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"impersonate-group": "a\nb"}, 'Groups:[]string{"a", "b"}, Extra:map[string][]string(nil)}'),
        ({"impersonate-uid": "7"}, 'UID:"7", Groups:[]string(nil), Extra:map[string][]string(nil)}'),
        ({"impersonate-extra-a": "b"}, 'Extra:map[string][]string{"a":[]string{"b"}}}'),
    ],
)
async def test_nobody_to_act_as(headers: Any, shown: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await Impersonation(Rights()).impersonate(request("", **headers), ACTOR)
    assert refused.value.message.startswith('requested &user.DefaultInfo{Name:"", ')
    assert refused.value.message.endswith(f"{shown} without impersonating a user name")
